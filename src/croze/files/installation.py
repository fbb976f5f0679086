"""The installation of Croze that a process was started from, and no other.

A daemon lives for months, and loads much of itself when it is first needed. An upgrade meanwhile
puts other files in place, which fit nothing of what is loaded: they may be missing, or, worse,
there. Such a process says so instead of loading them, and goes on with what it has.
"""

from __future__ import annotations

import os
import sys
from typing import Final, NamedTuple

from croze import version
from croze.errors import Unavailable

_PREFIX: Final = "croze."
_REPLACED: Final = "Croze has been installed anew since this daemon was started: restart it"


class _Mark(NamedTuple):
    """What a file is told by. Its number changes, on some file systems, when the owner or the mode
    is set for the first time (overlayfs), or when the kernel has forgotten it (FUSE)."""

    number: tuple[int, int]
    written: tuple[int, int]
    """When, and how much."""


class OneInstallation:
    """Stands before those who find modules, and finds none: where the installation has been
    replaced since this was made, it refuses those of Croze's own."""

    def __init__(self) -> None:
        self._mark, self._content = _found(), _content()

    def check(self) -> None:
        """Raise `Unavailable` if another installation is in the place of this one."""
        mark = _found()
        if mark == self._mark:
            return
        if mark is None or self._mark is None or mark.written != self._mark.written:
            raise Unavailable(_REPLACED)
        if _content() != self._content:  # some installers set all times to the same
            raise Unavailable(_REPLACED)
        self._mark = mark

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Leave it to others (see `importlib.abc.MetaPathFinder`). Raises `Unavailable`."""
        if name.startswith(_PREFIX):
            self.check()


def keep_installation() -> None:
    """Load modules of the installation that is there now alone, from now on. Idempotent."""
    if _finder() is None:
        sys.meta_path.insert(0, OneInstallation())


def check_installation() -> None:
    """Raise `Unavailable` if this process keeps to an installation that has been replaced: what it
    starts would be of another."""
    if (finder := _finder()) is not None:
        finder.check()


def take_any_installation() -> None:
    """Load what there is again: what is needed to leave in good order. Idempotent."""
    if (finder := _finder()) is not None:
        sys.meta_path.remove(finder)


def _finder() -> OneInstallation | None:
    return next((each for each in sys.meta_path if isinstance(each, OneInstallation)), None)


def _found() -> _Mark | None:
    """What is at our path; None for nothing. Installers write files anew, and who changes the
    owner or the mode of one does not replace it."""
    try:
        status = os.stat(version.__file__)
    except OSError:
        return None
    return _Mark((status.st_dev, status.st_ino), (status.st_mtime_ns, status.st_size))


def _content() -> bytes | None:
    try:
        with open(version.__file__, "rb") as file:
            return file.read()
    except OSError:
        return None
