"""What a container sees mounted: a bundle directory with its root and the sources of its mounts,
and the mount points that had to be made for them.

All of it blocks for microseconds, up to a few milliseconds on a busy disk: called in a thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import posixpath
import stat
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from croze.errors import CrozeError, NotFound
from croze.fs import mount as fs_mount
from croze.fs.remove import remove_tree
from croze.fs.root import open_beneath, resolve_below
from croze.runtime.contract import ContainerMount
from croze.runtime.oci_spec import OciMount
from croze.store import mount as store_mount
from croze.store.contract import MountSpec

log = logging.getLogger(__name__)

REMOVE_TRIES = 50
REMOVE_PAUSE_S = 0.01
SANDBOX_STUBS = ("/etc/resolv.conf", "/etc/hosts")


def _flag_options(mount: MountSpec) -> tuple[str, ...]:
    """A bind's options for the runtime, which wants `rbind` said."""
    return ("rbind", *(o for o in mount.options if o not in ("bind", "rbind")))


def _is_whole(selector: str) -> bool:
    return PurePosixPath("/", selector) == PurePosixPath("/")


def mount_tmpfs(folder: Path) -> None:
    """Mount a tmpfs for small files that come and go with each container: on a disk they take their
    time. Only this process and its children see it, so nothing has to be cleared away."""
    flags = fs_mount.MS_NOSUID | fs_mount.MS_NODEV | fs_mount.MS_NOEXEC
    try:
        fs_mount.raw_mount("tmpfs", folder, "tmpfs", flags, "mode=0700")
    except CrozeError as error:
        log.debug("no tmpfs on %s: %s", folder, error)


class OciBundle:
    """One container's directory: `config.json`, `rootfs` and prepared mount sources."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rootfs = path / "rootfs"
        self._mounted: list[Path] = []
        self._sources: dict[tuple[MountSpec, ...], Path] = {}
        path.mkdir(mode=0o700, parents=True)

    def mount_root(self, mounts: Sequence[MountSpec]) -> None:
        """Make the root filesystem available at `rootfs`."""
        only = mounts[0] if len(mounts) == 1 else None
        if only and only.type == "bind" and "ro" not in only.options:
            self.rootfs = Path(only.source)
            return
        self.rootfs.mkdir(mode=0o700)
        self._mount_all(mounts, self.rootfs)

    def add(self, mount: ContainerMount) -> list[OciMount]:
        """Entries for the runtime's configuration that make `mount` appear."""
        dest = posixpath.normpath("/" + mount.dest.lstrip("/"))
        mounts = tuple(store_mount.readonly(mount.mounts) if mount.readonly else mount.mounts)
        simple = len(mounts) == 1 and mounts[0].type in ("bind", "tmpfs")
        if simple and _is_whole(mount.selector):
            only = mounts[0]
            options = _flag_options(only) if only.type == "bind" else only.options
            return [OciMount(dest, only.type, only.source, options)]
        source = self._source(mounts)
        if not _is_whole(mount.selector):
            fixed = mount.readonly or all("ro" in m.options for m in mounts)
            source = self._select(source, mount.selector, readonly=fixed)
        options = ("rbind", "ro") if mount.readonly else ("rbind",)
        return [OciMount(dest, "bind", str(source), options)]

    def _mount_all(self, mounts: Sequence[MountSpec], target: Path) -> None:
        store_mount.mount_all(mounts, target)
        self._mounted += [target] * len(mounts)

    def _source(self, mounts: tuple[MountSpec, ...]) -> Path:
        """Where these mounts are; mounted once for all that use them."""
        if mounts not in self._sources:
            if len(mounts) == 1 and mounts[0].type == "bind":
                self._sources[mounts] = Path(mounts[0].source)
            else:
                target = self._point(directory=True)
                self._mount_all(mounts, target)
                self._sources[mounts] = target
        return self._sources[mounts]

    def _point(self, *, directory: bool) -> Path:
        folder = self.path / "m"
        folder.mkdir(mode=0o700, exist_ok=True)
        point = folder / str(len(os.listdir(folder)))
        if directory:
            point.mkdir()
        else:
            point.touch()
        return point

    def _select(self, source: Path, selector: str, *, readonly: bool) -> Path:
        """A bind of a path below `source`, by descriptor: a link that changes meanwhile can't lead
        it out. What is only to be read is bound so, here too: nothing of ours can write to it."""
        try:
            fd = open_beneath(str(source), selector, os.O_PATH)
        except OSError as error:
            raise NotFound(f"open {selector}: {os.strerror(error.errno or 0).lower()}") from error
        try:
            point = self._point(directory=stat.S_ISDIR(os.fstat(fd).st_mode))
            options = ("rbind", "ro" if readonly else "rw")
            store_mount.mount(MountSpec("bind", f"/proc/self/fd/{fd}", options), point)
        finally:
            os.close(fd)
        self._mounted.append(point)
        return point

    def close(self) -> None:
        """Unmount all and remove the directory. Idempotent."""
        failed: list[CrozeError] = []
        while self._mounted:
            try:
                fs_mount.unmount(self._mounted.pop())
            except CrozeError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        _remove(self.path)


def _remove(bundle: Path) -> None:
    """A runtime that was just killed may have a child that still writes there."""
    for _ in range(REMOVE_TRIES):
        try:
            return remove_tree(bundle)
        except OSError as error:
            failed = error
        time.sleep(REMOVE_PAUSE_S)
    log.warning("left behind %s: %s", bundle, failed)


class Stubs:
    """Remembers which mount points are missing before a container runs, and removes after it
    those that are there and empty. `recursive` covers their missing parents too.

    The parents are made here, and so is `/dev`: they stay in the layer (the parents, when a step
    puts something into them), and a runtime may give them a mode of its own (crun: 01755).
    """

    def __init__(self, rootfs: Path, dests: Sequence[str], *, recursive: bool) -> None:
        self._rootfs = rootfs
        self._missing: list[str] = []
        for dest in (*SANDBOX_STUBS, *dests):
            with contextlib.suppress(OSError):
                path = resolve_below(str(rootfs), dest)
                self._note(path, recursive)
                make_dirs(rootfs, os.path.dirname(path))
        with contextlib.suppress(OSError):
            make_dirs(rootfs, resolve_below(str(rootfs), "/dev"))

    def _note(self, path: str, recursive: bool) -> None:
        while path != "/" and not os.path.lexists(f"{self._rootfs}{path}"):
            self._missing.append(path)
            if not recursive:
                return
            path = os.path.dirname(path)

    def remove(self) -> None:
        """What someone has put something into stays; directories go after what is in them."""
        for path in sorted(self._missing, key=lambda each: each.count("/"), reverse=True):
            parent, name = os.path.split(path)
            try:
                fd = open_beneath(str(self._rootfs), parent, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue
            try:
                _remove_stub(fd, name)
            finally:
                os.close(fd)


def make_dirs(rootfs: str | Path, path: str) -> None:
    """Make missing directories of a path without links. Raises OSError, as on a read-only root."""
    if path == "/":
        return
    above, name = os.path.split(path)
    make_dirs(rootfs, above)
    parent_fd = open_beneath(str(rootfs), above, os.O_PATH | os.O_DIRECTORY)
    try:
        os.mkdir(name, 0o755, dir_fd=parent_fd)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        fd = os.open(name, flags, dir_fd=parent_fd)  # a container may have put a link there
        try:
            os.fchmod(fd, 0o755)  # whatever the umask
        finally:
            os.close(fd)
    except FileExistsError:
        pass
    finally:
        os.close(parent_fd)


def _remove_stub(parent_fd: int, name: str) -> None:
    """Remove an empty file or directory; the parent keeps its times, so that the layer of a step
    does not depend on when it ran."""
    before = os.fstat(parent_fd)
    try:
        entry = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        if stat.S_ISDIR(entry.st_mode):
            os.rmdir(name, dir_fd=parent_fd)
        elif entry.st_size == 0:
            os.unlink(name, dir_fd=parent_fd)
    except OSError:
        return
    os.utime(parent_fd, ns=(before.st_atime_ns, before.st_mtime_ns))
