"""Mounting, as Linux has it: `mount(2)`, `umount2(2)`, `unshare(2)` and the calls on mounts that
have no place yet, through ctypes.

Everything here blocks for microseconds and may be called on the event loop. `store.mount` mounts
what a snapshot is made of.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from croze.errors import CrozeError, PermissionDenied, ResourceExhausted, Unsupported
from croze.fs.userns import in_user_namespace

T = TypeVar("T")

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_RELATIME = 0x200000
MS_STRICTATIME = 0x1000000
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8
CLONE_FS = 0x200
CLONE_NEWNS = 0x20000

_LOCKED = (
    (os.ST_RDONLY, MS_RDONLY),
    (os.ST_NOSUID, MS_NOSUID),
    (os.ST_NODEV, MS_NODEV),
    (os.ST_NOEXEC, MS_NOEXEC),
    (os.ST_NOATIME, MS_NOATIME),
    (os.ST_NODIRATIME, MS_NODIRATIME),
    (os.ST_RELATIME, MS_RELATIME),
)

_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 430, 431, 432
_AT_FDCWD = -100
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_OPEN_TREE_CLONE = 0x1
_MOVE_FLAGS = 0x4 | 0x10
"""From a descriptor, and following links at the target (`/proc/self/fd/N`), as mount(2) does."""
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NOEXEC = 0x1, 0x2, 0x8
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 0x1
_FSCONFIG_CMD_CREATE = 6


class _MountAttributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.unshare.argtypes = [ctypes.c_int]


def _failure(what: str) -> CrozeError:
    number = ctypes.get_errno()
    message = f"{what}: {os.strerror(number)}"
    if number in (errno.EPERM, errno.EACCES):
        return PermissionDenied(message)
    if number in (errno.ENOSPC, errno.ENOMEM, errno.EDQUOT):
        return ResourceExhausted(message)
    if number == errno.ENODEV:
        return Unsupported(message)
    return CrozeError(message)


def raw_mount(
    source: str, target: str | os.PathLike[str], fstype: str, flags: int, data: str = ""
) -> None:
    """`mount(2)` as it is. Raises `PermissionDenied`, `Unsupported` (no such filesystem type),
    `ResourceExhausted` or `CrozeError`."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), fstype.encode(), flags, os.fsencode(data)
    )
    if result != 0:
        raise _failure(f"failed to mount {fstype or source} on {os.fspath(target)}")


def unmount(target: str | os.PathLike[str]) -> None:
    """Unmount, for good if nobody is inside, else as soon as they leave (`MNT_DETACH`). A no-op
    where nothing is mounted."""
    for flags in (UMOUNT_NOFOLLOW, UMOUNT_NOFOLLOW | MNT_DETACH):
        if _libc.umount2(os.fsencode(target), flags) == 0:
            return
        if ctypes.get_errno() != errno.EBUSY:
            break
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOENT):
        raise _failure(f"failed to unmount {os.fspath(target)}")


def in_own_thread(work: Callable[[], T]) -> T:
    """Call `work` in a thread that ends with it, and wait: namespaces and the working directory
    that it unshares or enters are its own, and the rest of the process stays where it is."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="own-namespaces")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def unshare(flags: int, what: str) -> None:
    """`unshare(2)`, for the calling thread. Raises `PermissionDenied` where the process may not, or
    another `CrozeError`; `what` is named in the message."""
    if _libc.unshare(flags) != 0:
        raise _failure(f"failed to unshare {what}")


def enter_private_namespace() -> None:
    """Give this process its own mount namespace that still sees the host's later mounts: whatever
    it mounts goes with it.

    Call it before any thread is started: a namespace belongs to the calling thread. Raises
    `PermissionDenied` where the process may not, and `Unsupported` where `/` is no mount.
    """
    unshare(CLONE_NEWNS, "the mount namespace")
    try:
        raw_mount("none", "/", "", MS_REC | MS_SLAVE)
    except CrozeError as error:
        if ctypes.get_errno() != errno.EINVAL:
            raise
        raise Unsupported(
            "/ is not a mount point, as in a plain chroot, and containers can't be started there: "
            "mount the root on itself before (mount --bind DIR DIR; chroot DIR)"
        ) from error


def bind_readonly(source: str, target: str | os.PathLike[str], *, recursive: bool = True) -> None:
    """A bind that can't be written through at any instant, nor in what is mounted below it.

    mount(2) makes a bind writable first; since Linux 5.12 a mount gets its attributes before it has
    a place (open_tree(2), mount_setattr(2), move_mount(2)).
    """
    below = _AT_RECURSIVE if recursive else 0
    try:
        tree = _call(_SYS_OPEN_TREE, _AT_FDCWD, source, _OPEN_TREE_CLONE | os.O_CLOEXEC | below)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise CrozeError(f"failed to bind {source}: {error.strerror}") from error
        raw_mount(source, target, "", MS_BIND | (MS_REC if recursive else 0))
        raw_mount("none", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | locked_flags(target))
        return
    try:
        attributes = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
        size = ctypes.sizeof(attributes)
        _call(_SYS_MOUNT_SETATTR, tree, "", _AT_EMPTY_PATH | below, attributes, size)
        _call(_SYS_MOVE_MOUNT, tree, "", _AT_FDCWD, os.fspath(target), _MOVE_FLAGS)
    except OSError as error:
        raise CrozeError(
            f"failed to bind {source} on {os.fspath(target)}: {error.strerror}"
        ) from error
    finally:
        os.close(tree)


def locked_flags(target: str | os.PathLike[str]) -> int:
    """The flags that the root of a user namespace may not take away (mount_namespaces(7))."""
    if not in_user_namespace():
        return 0
    flags = os.statvfs(target).f_flag
    return sum(mount_flag for flag, mount_flag in _LOCKED if flags & flag)


def detached_tmpfs() -> int:
    """A descriptor of a tmpfs that nobody else can reach: it is mounted nowhere, and goes with the
    last descriptor (fsopen(2), fsmount(2)). Raises `OSError` where this process may not."""
    context_fd = _call(_SYS_FSOPEN, "tmpfs", _FSOPEN_CLOEXEC)
    try:
        _call(_SYS_FSCONFIG, context_fd, _FSCONFIG_CMD_CREATE, 0, 0, 0)
        attributes = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NOEXEC
        return _call(_SYS_FSMOUNT, context_fd, _FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context_fd)


def _call(number: int, *args: int | str | ctypes.Structure) -> int:
    """A system call that the C library may not know. Raises `OSError`."""
    c_args = [
        ctypes.byref(a)
        if isinstance(a, ctypes.Structure)
        else ctypes.c_char_p(os.fsencode(a))
        if isinstance(a, str)
        else ctypes.c_long(a)
        for a in args
    ]
    result = int(_libc.syscall(ctypes.c_long(number), *c_args))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
