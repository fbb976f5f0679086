"""Directories that are one user's, made or verified: never taken on trust.

A path that this user expects may have been made by somebody else, to read or lead astray what goes
there. Imports nothing but `os`: start-up time counts.
"""

import os

TYPE_CHECKING = False  # `typing` takes longer than all that is here
if TYPE_CHECKING:
    from typing import NoReturn

OTHERS = 0o077
WRITABLE_BY_OTHERS = 0o022
STICKY = 0o1000


def own_dir(path: str) -> str:
    """Make the directory, for its user alone, or see that it is so; returns the path.

    One that is there must be a real directory of this user's that nobody else can write to (or
    has written to, if it is empty, as a fresh file system is), below none in which somebody else
    could put another in its place. It is closed to others if it isn't yet. Raises
    `PermissionDenied`, which says what to do.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        from croze.errors import os_reason  # seldom needed: who calls this counts its modules

        _refuse(path, f"can't be used: {os_reason(error)}")
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            _refuse(path, f"belongs to another user (uid {status.st_uid})")
        if status.st_mode & OTHERS:
            os.fchmod(fd, 0o700)
        if status.st_mode & WRITABLE_BY_OTHERS and os.listdir(fd):
            os.fchmod(fd, status.st_mode & 0o7777)
            _refuse(path, "can be written to by others")
    finally:
        os.close(fd)
    _check_ancestors(path)
    return path


def is_own_dir(path: str) -> bool:
    """Whether it is there, and as `own_dir` leaves it. Nothing is made or changed."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    # 4: the high digits of S_IFDIR; `stat` is not worth an import.
    is_dir = status.st_mode >> 12 == 4
    return is_dir and status.st_uid == os.geteuid() and not status.st_mode & OTHERS


def unmoved_place(path: str) -> str:
    """The real path of a directory, if nobody but this user and root can rename what is in it, or
    any directory that it is below; else empty. Elsewhere what is made by its name may be another's
    by the next call."""
    real = folder = os.path.realpath(path)
    while True:
        try:
            status = os.stat(folder)
        except OSError:
            return ""
        is_open = status.st_mode & WRITABLE_BY_OTHERS and not status.st_mode & STICKY
        if status.st_uid not in (os.geteuid(), 0) or is_open:
            return ""
        parent = os.path.dirname(folder)
        if parent == folder:
            return real
        folder = parent


def _check_ancestors(path: str) -> None:
    """Whoever may rename a directory may put another in its place."""
    folder = os.path.realpath(path)
    while (parent := os.path.dirname(folder)) != folder:
        mode = os.lstat(parent).st_mode
        if mode & 0o002 and not mode & STICKY:
            _refuse(path, f"is below {parent}, in which everybody can replace it")
        folder = parent


def _refuse(path: str, why: str) -> "NoReturn":
    from croze.errors import PermissionDenied

    raise PermissionDenied(
        f"directory {path} {why}: remove it or make it yours alone, or name another one"
    )
