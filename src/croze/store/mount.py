"""Mounting: `mount(2)`, `umount2(2)` and `unshare(2)` through ctypes (mount(2), overlayfs.rst).

The daemon runs in a private mount namespace, so whatever it mounts dies with it. Everything here
blocks for microseconds and may be called on the event loop.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from croze.errors import CrozeError, PermissionDenied, ResourceExhausted, Unsupported
from croze.fs.remove import new_directory
from croze.fs.temporary import temporary_directory
from croze.fs.userns import in_user_namespace
from croze.store.contract import MountSpec
from croze.store.lowers import join_lowers, split_lowers

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

OPTIONS_LIMIT = 4095
"""mount(2) copies one page of options, the closing zero byte included."""
LAYERS_LIMIT = 500
"""The kernel's own (`OVL_MAX_STACK`)."""

_FLAGS = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "noatime": MS_NOATIME,
    "nodiratime": MS_NODIRATIME,
    "relatime": MS_RELATIME,
    "strictatime": MS_STRICTATIME,
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
    "private": MS_PRIVATE,
    "slave": MS_SLAVE,
    "rprivate": MS_PRIVATE | MS_REC,
    "rslave": MS_SLAVE | MS_REC,
}
_LOCKED = (
    (os.ST_RDONLY, MS_RDONLY),
    (os.ST_NOSUID, MS_NOSUID),
    (os.ST_NODEV, MS_NODEV),
    (os.ST_NOEXEC, MS_NOEXEC),
    (os.ST_NOATIME, MS_NOATIME),
    (os.ST_NODIRATIME, MS_NODIRATIME),
    (os.ST_RELATIME, MS_RELATIME),
)
_PROPAGATION = MS_PRIVATE | MS_SLAVE
_NO_EFFECT = frozenset({"rw", "defaults", "async"})

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


def _fail(what: str) -> CrozeError:
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
        raise _fail(f"failed to mount {fstype or source} on {os.fspath(target)}")


def unmount(target: str | os.PathLike[str]) -> None:
    """Unmount, for good if nobody is inside, else as soon as they leave (`MNT_DETACH`). A no-op
    where nothing is mounted."""
    for flags in (UMOUNT_NOFOLLOW, UMOUNT_NOFOLLOW | MNT_DETACH):
        if _libc.umount2(os.fsencode(target), flags) == 0:
            return
        if ctypes.get_errno() != errno.EBUSY:
            break
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOENT):
        raise _fail(f"failed to unmount {os.fspath(target)}")


def enter_private_namespace() -> None:
    """Give this process its own mount namespace that still sees the host's later mounts.

    Call it before any thread is started: a namespace belongs to the calling thread. Raises
    `PermissionDenied` where the process may not, and `Unsupported` where `/` is no mount.
    """
    if _libc.unshare(CLONE_NEWNS) != 0:
        raise _fail("failed to unshare the mount namespace")
    try:
        raw_mount("none", "/", "", MS_REC | MS_SLAVE)
    except CrozeError as error:
        if ctypes.get_errno() != errno.EINVAL:
            raise
        raise Unsupported(
            "/ is not a mount point, as in a plain chroot, and containers can't be started there: "
            "mount the root on itself before (mount --bind DIR DIR; chroot DIR)"
        ) from error


def split_options(options: Sequence[str]) -> tuple[int, list[str]]:
    """Tell generic mount flags from the filesystem's own options."""
    flags, data = 0, []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option not in _NO_EFFECT:
            data.append(option)
    return flags, data


def mount(entry: MountSpec, target: str | os.PathLike[str]) -> None:
    """Mount one entry on an existing directory (or file, for a bind)."""
    flags, data = split_options(entry.options)
    if entry.type in ("bind", "rbind") or flags & MS_BIND:
        _bind(entry, target, flags)
    elif entry.type == "overlay":
        _overlay(target, flags, data)
    else:
        raw_mount(entry.source or entry.type, target, entry.type, flags, ",".join(data))


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
        raw_mount("none", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | _locked_flags(target))
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


def _bind(entry: MountSpec, target: str | os.PathLike[str], flags: int) -> None:
    recursive = bool(flags & MS_REC) or entry.type == "rbind"
    if flags & MS_RDONLY:
        bind_readonly(entry.source, target, recursive=recursive)
    else:
        raw_mount(entry.source, target, "", MS_BIND | (MS_REC if recursive else 0))
    rest = flags & ~(MS_BIND | MS_REC | _PROPAGATION)
    try:
        if flags & _PROPAGATION:
            raw_mount("none", target, "", flags & (_PROPAGATION | MS_REC))
        if rest:
            # A bind takes over the source's flags; what this one asks for needs a second call.
            raw_mount("none", target, "", MS_BIND | MS_REMOUNT | rest | _locked_flags(target))
    except CrozeError:
        unmount(target)
        raise


def _locked_flags(target: str | os.PathLike[str]) -> int:
    """The flags that the root of a user namespace may not take away (mount_namespaces(7))."""
    if not in_user_namespace():
        return 0
    flags = os.statvfs(target).f_flag
    return sum(mount_flag for flag, mount_flag in _LOCKED if flags & flag)


def _overlay(target: str | os.PathLike[str], flags: int, data: Sequence[str]) -> None:
    _forget_volatile(data)
    text = ",".join(data)
    if len(os.fsencode(text)) <= OPTIONS_LIMIT and "\\" not in text:
        raw_mount("overlay", target, "overlay", flags, text)
    else:
        _overlay_relative(os.path.abspath(target), flags, data)


def _forget_volatile(data: Sequence[str]) -> None:
    """A volatile overlay leaves a mark in its work directory that forbids another mount, as its
    upper may have lost writes in a power cut. The store answers for that by itself: what was being
    written is swept, and a cache mount is only ever a cache."""
    work = next((o.removeprefix("workdir=") for o in data if o.startswith("workdir=")), "")
    if "volatile" in data and work:
        mark = os.path.join(work, "work", "incompat", "volatile")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(mark, "dirty"))
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(mark)


def _overlay_relative(target: str, flags: int, data: Sequence[str]) -> None:
    """Mount from inside the directory that all layers share, with paths relative to it; from one of
    links to them if that is too long as well.

    A chain of hundreds of layers is longer than a page of absolute paths. The working directory
    belongs to a thread once `CLONE_FS` is unshared, so the rest of the process stays where it is.
    """
    base, text = _relative_options(data)
    if len(os.fsencode(text)) <= OPTIONS_LIMIT:
        _mount_from(base, target, flags, text)
        return
    with temporary_directory("layers") as base:
        _mount_from(base, target, flags, _linked_options(data, base))


def _mount_from(base: str, target: str, flags: int, text: str) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            if _libc.unshare(CLONE_FS) != 0:
                raise _fail("failed to unshare the working directory")
            os.chdir(base)
            raw_mount("overlay", target, "overlay", flags, text)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="mount")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _relative_options(data: Sequence[str]) -> tuple[str, str]:
    named = dict(o.split("=", 1) for o in data if "=" in o)
    lowers = split_lowers(named.get("lowerdir", ""))
    dirs = lowers + [named[k] for k in ("upperdir", "workdir") if k in named]
    base = os.path.commonpath(dirs)
    if base in dirs:
        base = os.path.dirname(base)
    above = base.rstrip("/") + "/"
    short = {d: d[len(above) :] if d.startswith(above) else os.path.relpath(d, base) for d in dirs}
    parts = [o for o in data if not o.startswith(("lowerdir=", "upperdir=", "workdir="))]
    parts += [f"{k}={short[named[k]]}" for k in ("upperdir", "workdir") if k in named]
    parts.append("lowerdir=" + ":".join(short[d] for d in lowers))
    return base, ",".join(parts)


def _linked_options(data: Sequence[str], base: str) -> str:
    """The options with links in `base` for directories, which overlayfs follows as it mounts."""
    parts: list[str] = []
    for option in data:
        name, _, value = option.partition("=")
        if name not in ("lowerdir", "upperdir", "workdir"):
            parts.append(option)
            continue
        dirs = split_lowers(value) if name == "lowerdir" else [value]
        if len(dirs) > LAYERS_LIMIT:
            raise Unsupported(f"too many layers for one overlay mount: {len(dirs)}")
        links = [f"{name[0]}{number:x}" for number in range(len(dirs))]
        for link, path in zip(links, dirs, strict=True):
            os.symlink(path, os.path.join(base, link))
        parts.append(f"{name}={':'.join(links)}")
    return ",".join(parts)


def mount_all(mounts: Sequence[MountSpec], target: str | os.PathLike[str]) -> None:
    """Mount entries on top of each other on `target`; all or none."""
    mounted = 0
    try:
        for entry in mounts:
            mount(entry, target)
            mounted += 1
    except BaseException:
        for _ in range(mounted):
            unmount(target)
        raise


def readonly(mounts: Sequence[MountSpec]) -> tuple[MountSpec, ...]:
    """These mounts without the right to write: an overlay's upper becomes its top lower."""
    return tuple(_readonly(m) for m in mounts)


def _readonly(entry: MountSpec) -> MountSpec:
    options = [o for o in entry.options if o not in ("rw", "ro", "volatile")]
    upper = next((o.removeprefix("upperdir=") for o in options if o.startswith("upperdir=")), "")
    if entry.type == "overlay" and upper:
        options = [o for o in options if not o.startswith(("upperdir=", "workdir="))]
        top = join_lowers([upper])
        options = [o.replace("lowerdir=", f"lowerdir={top}:", 1) for o in options]
    return MountSpec(entry.type, entry.source, (*options, "ro"))


@contextlib.contextmanager
def mounted(mounts: Sequence[MountSpec], parent: Path | None = None) -> Iterator[Path]:
    """The mounts at a fresh directory below `parent`, gone again afterwards. A lone writable or
    read-only bind of a directory needs no mount at all: its source is given out."""
    if len(mounts) == 1 and mounts[0].type == "bind":
        yield Path(mounts[0].source)
        return
    target = Path(new_directory("m", parent))
    try:
        mount_all(mounts, target)
        try:
            yield target
        finally:
            for _ in mounts:
                unmount(target)
    finally:
        target.rmdir()
