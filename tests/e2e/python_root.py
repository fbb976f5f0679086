"""A root filesystem with this very Python and Croze in it, for frontends that are written in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from tests.e2e.sandbox import REPO

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
SITE = "site"
"""Where the packages are, for `PYTHONPATH`: every build of Python has its own idea of a place."""
PACKAGES = ("grpc", "google", "hpack", "msgspec", "typing_extensions.py")
UNUSED = (
    "test tests idlelib tkinter turtledemo ensurepip lib2to3 site-packages config-* pydoc_data *.a "
    "*.opt-1.pyc *.opt-2.pyc"
)


def make_root(root: Path) -> Path:
    """Make it below `root`, from files of this machine."""
    make_python(root)
    installed = Path(sysconfig.get_path("purelib"))
    for name in PACKAGES:
        _copy(installed / name, root / SITE / name)
    _copy(REPO / "src/croze", root / SITE / "croze")
    copy_libraries(root, (root / SITE).rglob("*.so*"))
    return root


def make_python(root: Path) -> None:
    """Python alone, below `root`."""
    library = root / "usr/lib" / VERSION
    _copy(Path(sysconfig.get_path("stdlib")), library)
    binary = root / "usr/bin/python3"
    binary.parent.mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), binary)
    copy_libraries(root, [binary, *library.rglob("*.so*")])
    (root / "tmp").mkdir()


def copy_libraries(root: Path, files: Iterable[Path]) -> None:
    """What these files need of the machine's shared libraries, to below `root`."""
    for needed in _libraries(files):
        target = root / needed.relative_to("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(needed, target)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*UNUSED.split()))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _libraries(files: Iterable[Path]) -> set[Path]:
    """The shared libraries of the machine that these need, and their loader."""
    done = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False)
    return {Path(found) for found in re.findall(r"(/\S+) \(0x", done.stdout)}
