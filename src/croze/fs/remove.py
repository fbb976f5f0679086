"""Removing what was made, and nothing else: a recursive removal stays in its mount.

What looks like a directory of ours may be somebody else's, bound there: a snapshot in a bundle that
could not be unmounted. So a directory is opened only if it is in the same mount (`openat2(2)`,
RESOLVE_NO_XDEV), and never through a link. `shutil.rmtree` and `tempfile.TemporaryDirectory` cross
mounts and are banned.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os

from croze.fs.paths import NO_NAMES
from croze.fs.root import open_same_mount

log = logging.getLogger(__name__)


def remove_tree(path: str | os.PathLike[str]) -> None:
    """`rm -rf` that stops at mounts: no error if nothing is there; links are not followed.

    Removes all that it can, then raises the first `OSError`: EXDEV or EBUSY for what is a mount
    point. However deep the tree is, two descriptors do.
    """
    failed = _remove(path, keeps_directories=False).failed
    if failed is not None:
        raise failed


def remove_at(directory: int, name: str) -> None:
    """`remove_tree` of what has that name in the directory of a descriptor. Raises `OSError`, also
    for what is no name: of `..` it would be the directory above with all that is in it."""
    if name in NO_NAMES or "/" in name:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
    removal = _Removal(keeps_directories=False)
    removal.run(os.dup(directory), name)
    if removal.failed is not None:
        raise removal.failed


def remove_files(path: str | os.PathLike[str]) -> int:
    """`remove_tree`, except that directories stay. How many those are.

    What can't be removed stays as well. Raises `OSError` if the tree is moved meanwhile.
    """
    return _remove(path, keeps_directories=True).directories


def try_remove_tree(path: str | os.PathLike[str]) -> None:
    """`remove_tree` where what is left behind does no harm."""
    try:
        remove_tree(path)
    except OSError as error:
        log.debug("left behind %s: %s", os.fspath(path), error)


def new_directory(prefix: str, parent: str | os.PathLike[str] | None = None) -> str:
    """A new directory of our own (0700), below `parent`, else where temporary files go."""
    if parent is None:
        import tempfile  # takes longer to load than all else that is here

        parent = tempfile.gettempdir()
    while True:
        path = os.path.join(os.path.abspath(parent), prefix + os.urandom(6).hex())
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
            return path


def _remove(path: str | os.PathLike[str], *, keeps_directories: bool) -> _Removal:
    """Do it, and say how it went."""
    parent, name = os.path.split(os.path.abspath(path))
    removal = _Removal(keeps_directories=keeps_directories)
    with contextlib.suppress(FileNotFoundError):
        removal.run(os.open(parent, os.O_PATH | os.O_DIRECTORY), name)
    return removal


class _Removal:
    """Goes down and up again with one open directory; the way up is `..`, if that is still where
    we came from."""

    def __init__(self, *, keeps_directories: bool) -> None:
        self.failed: OSError | None = None
        self.directories = 0
        self._keeps_directories = keeps_directories
        self._fd = -1
        self._names: list[list[str]] = []
        """What is left to remove: in the open directory last, in those above it before."""
        self._came_from: list[tuple[str, tuple[int, int]]] = []
        """The names of the directories that we are in, each with the identity of its parent."""

    def run(self, parent: int, name: str) -> None:
        """Remove what has that name in an open directory, which is closed."""
        self._fd = parent
        try:
            self._names.append([name])
            while self._names[-1] or self._came_from:
                if self._names[-1]:
                    self._remove(self._names[-1].pop())
                else:
                    self._leave()
        finally:
            os.close(self._fd)

    def _remove(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            self._enter(name)
        except OSError as error:
            self._note(error)

    def _enter(self, name: str) -> None:
        try:
            child = open_same_mount(self._fd, name)
        except OSError as error:
            self._note(error)
            return
        self._came_from.append((name, _identity(self._fd)))
        os.close(self._fd)
        self._fd = child
        self._names.append([])
        try:
            self._names[-1] += os.listdir(child)
        except OSError as error:
            self._note(error)

    def _leave(self) -> None:
        name, identity = self._came_from.pop()
        parent = os.open("..", os.O_PATH | os.O_DIRECTORY, dir_fd=self._fd)
        os.close(self._fd)
        self._fd = parent
        if _identity(parent) != identity:
            raise OSError(errno.ESTALE, "moved while it was removed", name)
        self._names.pop()
        self.directories += 1
        if self._keeps_directories:
            return
        try:
            os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._note(error)

    def _note(self, error: OSError) -> None:
        """A directory that isn't empty because of what could not be removed is no news."""
        if self.failed is None:
            self.failed = error


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
