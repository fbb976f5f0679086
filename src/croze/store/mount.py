"""Mounts as snapshots and containers describe them (`MountSpec`), made on a directory of the host.

Everything here blocks for microseconds and may be called on the event loop.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from croze.errors import CrozeError
from croze.fs import mount as fs_mount
from croze.fs.mount import bind_readonly, locked_flags, raw_mount, unmount
from croze.fs.remove import new_directory
from croze.store.contract import MountSpec
from croze.store.overlay_mount import join_lowers, mount_overlay

_FLAGS = {
    "ro": fs_mount.MS_RDONLY,
    "nosuid": fs_mount.MS_NOSUID,
    "nodev": fs_mount.MS_NODEV,
    "noexec": fs_mount.MS_NOEXEC,
    "noatime": fs_mount.MS_NOATIME,
    "nodiratime": fs_mount.MS_NODIRATIME,
    "relatime": fs_mount.MS_RELATIME,
    "strictatime": fs_mount.MS_STRICTATIME,
    "bind": fs_mount.MS_BIND,
    "rbind": fs_mount.MS_BIND | fs_mount.MS_REC,
    "private": fs_mount.MS_PRIVATE,
    "slave": fs_mount.MS_SLAVE,
    "rprivate": fs_mount.MS_PRIVATE | fs_mount.MS_REC,
    "rslave": fs_mount.MS_SLAVE | fs_mount.MS_REC,
}
_PROPAGATION = fs_mount.MS_PRIVATE | fs_mount.MS_SLAVE
_NO_EFFECT = frozenset({"rw", "defaults", "async"})


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
    if entry.type in ("bind", "rbind") or flags & fs_mount.MS_BIND:
        _bind(entry, target, flags)
    elif entry.type == "overlay":
        mount_overlay(target, flags, data)
    else:
        raw_mount(entry.source or entry.type, target, entry.type, flags, ",".join(data))


def _bind(entry: MountSpec, target: str | os.PathLike[str], flags: int) -> None:
    recursive = bool(flags & fs_mount.MS_REC) or entry.type == "rbind"
    if flags & fs_mount.MS_RDONLY:
        bind_readonly(entry.source, target, recursive=recursive)
    else:
        raw_mount(
            entry.source, target, "", fs_mount.MS_BIND | (fs_mount.MS_REC if recursive else 0)
        )
    rest = flags & ~(fs_mount.MS_BIND | fs_mount.MS_REC | _PROPAGATION)
    try:
        if flags & _PROPAGATION:
            raw_mount("none", target, "", flags & (_PROPAGATION | fs_mount.MS_REC))
        if rest:
            # A bind takes over the source's flags; what this one asks for needs a second call.
            raw_mount(
                "none",
                target,
                "",
                fs_mount.MS_BIND | fs_mount.MS_REMOUNT | rest | locked_flags(target),
            )
    except CrozeError:
        unmount(target)
        raise


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
