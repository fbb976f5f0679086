"""A step's working directory, made when it is missing."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from croze.errors import CrozeError
from croze.fs.owner import ExecUser
from croze.fs.root import open_beneath


def make_workdir(rootfs: Path, cwd: str, user: ExecUser) -> None:
    """Make a step's working directory when it is missing, owned by the step's user."""
    try:
        os.close(open_beneath(str(rootfs), cwd or "/", os.O_PATH))
        return
    except OSError:
        pass
    try:
        _make_dirs(rootfs, cwd, 0o755, user.uid, user.gid)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise CrozeError(f"failed to create working directory {cwd}: {reason}") from error


def _make_dirs(root: Path, path: str, mode: int, uid: int, gid: int) -> None:
    """Make the directory and its missing parents, owned by `uid:gid`; links are followed."""
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    root_fd = os.dup(fd)
    try:
        walked = PurePosixPath("/")
        for name in PurePosixPath("/", path).parts[1:]:
            walked /= name
            parent, fd = fd, _enter(root_fd, fd, str(walked), name, mode, uid, gid)
            os.close(parent)
    finally:
        os.close(fd)
        os.close(root_fd)


def _enter(root_fd: int, parent: int, walked: str, name: str, mode: int, uid: int, gid: int) -> int:
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        return open_beneath(root_fd, walked, flags)
    except FileNotFoundError:
        os.mkdir(name, mode, dir_fd=parent)
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        fd = open_beneath(root_fd, walked, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        os.fchmod(fd, mode)  # whatever the umask
        return fd
