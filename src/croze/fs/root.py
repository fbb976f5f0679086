"""Resolution of untrusted paths below a root that never leaves it.

Absolute links start over at the root, `..` stops at it, missing components count as themselves.
`resolve` walks in user space (the answer is a path, for trees that nobody else changes now);
`open_beneath` lets the kernel do it (`openat2` with RESOLVE_IN_ROOT) and gives a descriptor.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable

from croze.fs.failures import TooManyLinks
from croze.fs.paths import rooted

MAX_LINKS = 255

_SYS_OPENAT2 = 437
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10
_MOST_TRIES = 128


def resolve(
    root: str,
    path: str,
    follow_last: bool = True,
    on_link: Callable[[str, str], None] | None = None,
) -> str:
    """The host path of `path` below `root`, links in it resolved inside the root.

    The last component is resolved only with `follow_last`. `on_link` hears of each link passed
    (path below the root, target). Raises TooManyLinks, and OSError for a file used as a directory.
    """
    below = resolve_below(root, path, follow_last, on_link)
    return root.rstrip("/") + below if below != "/" else root


def resolve_below(
    root: str,
    path: str,
    follow_last: bool = True,
    on_link: Callable[[str, str], None] | None = None,
) -> str:
    """Like `resolve`, as an absolute path inside the root."""
    _check(path)
    prefix = root.rstrip("/")
    current = ""
    links = 0
    todo = [part for part in reversed(path.split("/")) if part]
    while todo:
        part = todo.pop()
        following = rooted(f"{current}/{part}")
        if following == "/":
            current = ""
            continue
        target = _readlink(prefix + following) if todo or follow_last else None
        if target is None:
            current = following
            continue
        links += 1
        if links > MAX_LINKS:
            raise TooManyLinks
        if on_link is not None:
            on_link(following, target)
        if target.startswith("/"):
            current = ""
        todo.extend(part for part in reversed(target.split("/")) if part)
    return current or "/"


def _check(path: str) -> None:
    """No file has a zero byte in its name, and C would read only what is before it."""
    if "\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)


def _readlink(path: str) -> str | None:
    """The link's target; None if the path is no link or does not exist."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _openat2(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    _check(os.fsdecode(path))
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    number = errno.EAGAIN
    for _ in range(_MOST_TRIES):
        fd = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(dir_fd),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if fd >= 0:
            return int(fd)
        # Something was renamed or mounted, anywhere on this machine, while the kernel was at a
        # `..`: it can't tell any more that it led nowhere else, and asks for another try.
        if (number := ctypes.get_errno()) != errno.EAGAIN:
            break
    raise OSError(number, os.strerror(number), os.fsdecode(path))


def _openat2_works() -> bool:
    try:
        os.close(_openat2(-100, b"/", os.O_PATH | os.O_DIRECTORY, 0, 0))
    except OSError:
        return False
    return True


_have_openat2 = _openat2_works()


def open_beneath(root: str | int, path: str, flags: int, mode: int = 0o600) -> int:
    """Open `path` below `root` (a directory or its descriptor); the result never lies outside.

    Links inside are followed within the root; add O_NOFOLLOW to refuse one at the end. Creates
    with `mode` if `flags` has O_CREAT. The caller closes the descriptor. Raises OSError.
    """
    root_fd = root if isinstance(root, int) else os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        if _have_openat2:
            creation = mode & 0o7777 if flags & os.O_CREAT else 0
            inside = _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS
            return _openat2(root_fd, os.fsencode(path or "."), flags, creation, inside)
        return _open_stepwise(root_fd, path, flags, mode)
    finally:
        if not isinstance(root, int):
            os.close(root_fd)


def _open_stepwise(root_fd: int, path: str, flags: int, mode: int) -> int:
    """Open a path on kernels before 5.6: resolve, then open each component without following links,
    so that a change in between gives an error and not an escape."""
    follow = not flags & (os.O_NOFOLLOW | os.O_EXCL)
    below = resolve_below(f"/proc/self/fd/{root_fd}", path, follow)
    parts = [part for part in below.split("/") if part]
    fd = os.dup(root_fd)
    try:
        for part in parts[:-1]:
            step = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = step
        last = parts[-1] if parts else "."
        extra = 0 if flags & os.O_PATH else os.O_NOFOLLOW
        return os.open(last, flags | extra, mode, dir_fd=fd)
    finally:
        os.close(fd)


def open_directory_beneath(root: int, path: str) -> int:
    """Open a directory below that of a descriptor, for what is in it to be named from there. Raises
    `OSError`: ELOOP or ENOTDIR where a link, or anything else, is in place of a directory."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    if _have_openat2:
        resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
        return _openat2(root, os.fsencode(path), flags, 0, resolve)
    fd = os.dup(root)
    for part in path.split("/"):
        try:
            step = os.open(part, flags | os.O_CLOEXEC, dir_fd=fd)
        finally:
            os.close(fd)
        fd = step
    return fd


def open_same_mount(dir_fd: int, name: str) -> int:
    """Open the directory `name` in the directory `dir_fd`, to be listed. Raises `OSError`: EXDEV
    where something is mounted (a bind of the same filesystem too), ENOTDIR or ELOOP for a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    if _have_openat2:
        resolve = _RESOLVE_NO_XDEV | _RESOLVE_NO_SYMLINKS
        return _openat2(dir_fd, os.fsencode(name), flags, 0, resolve)
    fd = os.open(name, flags, dir_fd=dir_fd)
    try:
        if _mount_id(fd) != _mount_id(dir_fd):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _mount_id(fd: int) -> str:
    """The mount that a descriptor is on (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
        return next(line for line in lines if line.startswith("mnt_id:"))
