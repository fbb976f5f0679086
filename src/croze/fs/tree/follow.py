"""Resolves "follow paths": what must be sent of a tree so that given paths can be read there.

The rules are those of fsutil's FollowLinks: each link on the way is named too, targets are taken
inside the root, `*`, `?` and `[` work in single components.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from croze.fs.paths import base, clean, dirname, join, rooted, sorted_names
from croze.gotypes import glob


def follow_links(root: str, paths: Sequence[str]) -> list[str] | None:
    """The include patterns for `paths` below `root`, sorted; None if the whole root is needed."""
    resolver = _Resolver(root)
    for path in paths:
        resolver.add(path)
    return dedupe(sorted_names(resolver.found))


def dedupe(paths: Sequence[str]) -> list[str] | None:
    """Leave out what lies below an earlier path of the sorted list; None if `.` is there."""
    result: list[str] = []
    last = ""
    for path in paths:
        if path == ".":
            return None
        if path.startswith(last + "/"):
            continue
        result.append(path)
        last = path
    return result


class _Resolver:
    def __init__(self, root: str) -> None:
        self._root = root
        self.found: set[str] = set()

    def add(self, path: str) -> None:
        todo = [path]
        while todo:
            todo.extend(reversed(self._step(todo.pop())))

    def _step(self, path: str) -> list[str]:
        """Walk to the end of `path` or to the first link; returns the paths to go on with."""
        # Joining "." with an absolute path keeps it below the root.
        rest = join(".", path)
        current = "."
        while True:
            part, _, rest = rest.partition("/")
            current = join(current, part)
            targets = self._targets(current)
            if targets is None and rest:
                continue
            if current in self.found:
                return []
            self.found.add(current)
            return [join(target, rest) for target in targets or ()]

    def _targets(self, path: str) -> list[str] | None:
        """Where the link at `path` leads, or the links that a wildcard matches; None if no link."""
        name = base(path)
        if not glob.has_wildcards(name):
            return self._readlink(path)
        try:
            names = sorted_names(os.listdir(self._root + rooted(dirname(path))))
        except (FileNotFoundError, NotADirectoryError):
            return None
        targets: list[str] = []
        for candidate in names:
            if _matches(name, candidate):
                targets += self._readlink(join(dirname(path), candidate)) or ()
        # Without links the wildcard stays an ordinary component.
        return targets or None

    def _readlink(self, path: str) -> list[str] | None:
        full = self._root + rooted(path)
        try:
            if not stat.S_ISLNK(os.lstat(full).st_mode):
                return None
        except (FileNotFoundError, NotADirectoryError):
            return None
        target = clean(os.readlink(full))
        return [target if target.startswith("/") else rooted(join(dirname(path), target))]


def _matches(pattern: str, name: str) -> bool:
    try:
        return glob.match(pattern, name)
    except glob.BadPattern:
        return False
