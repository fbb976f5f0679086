"""Small trees for tests: described by dicts, read back into dicts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

Tree = dict[str, "str | bytes | tuple[str, str] | None"]
"""Path to text or bytes (file), None (directory) or ("->", target)."""


def make(root: Path, tree: Tree) -> Path:
    """Create the tree; parents are made as needed."""
    root.mkdir(parents=True, exist_ok=True)
    for path, what in tree.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            target.mkdir(exist_ok=True)
        elif isinstance(what, tuple):
            target.symlink_to(what[1])
        else:
            target.write_bytes(what if isinstance(what, bytes) else what.encode())
    return root


def read(root: Path) -> Tree:
    """Everything below `root`."""
    tree: Tree = {}
    for directory, dirs, files in os.walk(root):
        for name in sorted(dirs + files):
            path = Path(directory, name)
            key = str(path.relative_to(root))
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                tree[key] = ("->", os.readlink(path))
            elif stat.S_ISDIR(mode):
                tree[key] = None
            elif stat.S_ISREG(mode):
                tree[key] = path.read_bytes().decode("utf-8", "surrogateescape")
            else:
                tree[key] = f"<{stat.filemode(mode)[0]}>"
    return tree
