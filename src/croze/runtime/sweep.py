"""What a killed daemon left: found by its pid files, bundles and the runtime's state, then killed
and removed. Plain functions that block; used at start."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from croze.fs.remove import try_remove_tree
from croze.runtime.host_helper import init_pid

CGROUP_ROOT = Path("/sys/fs/cgroup")
MOUNTINFO = Path("/proc/self/mountinfo")


def leftovers(*folders: Path) -> list[str]:
    """Ids of containers of which a pid file, a bundle or the runtime's state is left."""
    names: set[str] = set()
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            names.update(os.listdir(folder))
    return sorted(n for n in names if not n.startswith("."))


def kill_init(file: Path, patience_s: float = 5.0) -> None:
    """Kill the container's first process, and so all of it, and wait for its end."""
    deadline = time.monotonic() + patience_s
    while (pid := init_pid(str(file))) and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def mounts_below(path: Path) -> list[str]:
    """Mount points at or below `path`, innermost first."""
    prefix = f"{path}/"
    points = []
    for line in MOUNTINFO.read_text("utf-8", "surrogateescape").splitlines():
        point = line.split(" ")[4].encode().decode("unicode_escape")
        if point == str(path) or point.startswith(prefix):
            points.append(point)
    return points[::-1]


def remove_bundle(bundle: Path) -> None:
    """Unmount what is below, then delete. What is still mounted stays."""
    from croze.fs.mount import unmount

    for point in mounts_below(bundle):
        unmount(point)
    try_remove_tree(bundle)


def remove_cgroup(path: str, root: Path = CGROUP_ROOT) -> None:
    """Remove a container's cgroup from every hierarchy; children first."""
    relative = path.lstrip("/")
    hierarchies = [root, *(p for p in root.iterdir() if p.is_dir())] if root.is_dir() else []
    for hierarchy in hierarchies:
        top = hierarchy / relative
        if not relative or not top.is_dir():
            continue
        for folder, _, files in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError as error:
                # Where `unified` was hidden (`host.hide_hybrid_cgroup`), these are plain files.
                if error.errno == errno.ENOTEMPTY:
                    _remove_dir(folder, files)


def _remove_dir(folder: str, files: Iterable[str]) -> None:
    with contextlib.suppress(OSError):
        for name in files:
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
