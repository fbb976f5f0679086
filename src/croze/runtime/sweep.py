"""What a killed daemon left: found by its pid files, bundles and the runtime's state, then killed
and removed. Plain functions that block; used at start and by the watchdog."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from croze.fs.remove import try_remove_tree

CGROUP_ROOT = Path("/sys/fs/cgroup")
BOOT_TIME_SLACK_S = 1.0
"""The kernel tells the time of the boot in whole seconds."""
MOUNTINFO = Path("/proc/self/mountinfo")


def leftovers(*folders: Path) -> list[str]:
    """Ids of containers of which a pid file, a bundle or the runtime's state is left."""
    names: set[str] = set()
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            names.update(os.listdir(folder))
    return sorted(n for n in names if not n.startswith("."))


def init_pid(file: Path) -> int:
    """The first process of the container that the pid file is named after, if it is alive, else 0.
    A pid that was given to another process since is told by its not being pid 1 of a namespace, in
    the container's cgroup; or, as a rootless container has no cgroup of its own, by its having
    started later."""
    try:
        pid = int(file.read_text("ascii"))
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
        cgroup = Path(f"/proc/{pid}/cgroup").read_text("utf-8", "replace")
    except (OSError, ValueError):
        return 0
    nspid = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    ours = file.name in cgroup or _started_before(pid, file)
    return pid if nspid.split()[-1:] == ["1"] and ours else 0


def _started_before(pid: int, file: Path) -> bool:
    """Whether a process is older than what a file says (proc_pid_stat(5), proc_stat(5))."""
    try:
        lines = Path("/proc/stat").read_text("ascii").splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime"))
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        ticks = int(stat.rpartition(")")[2].split()[19])
        started = boot + ticks / os.sysconf("SC_CLK_TCK")
        return started <= file.stat().st_mtime + BOOT_TIME_SLACK_S
    except (OSError, ValueError, IndexError, StopIteration):
        return False


def kill_init(file: Path, patience_s: float = 5.0) -> None:
    """Kill the container's first process, and so all of it, and wait for its end."""
    deadline = time.monotonic() + patience_s
    while (pid := init_pid(file)) and time.monotonic() < deadline:
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
    from croze.store.mount import unmount

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
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
