"""What cgroups do to processes: the wait to be moved, and the end for want of memory.

Before a process changes its cgroup the kernel waits until every CPU has been seen outside of the
fork path: some 10 ms (an RCU grace period). A second move within about the same time does not wait.
So we move ourselves, to where we are, while the container is being prepared: that takes the wait
out of the OCI runtime's way.
"""

from __future__ import annotations

from pathlib import Path

from croze.runtime.host import CGROUP_ROOT


def stir(root: Path = CGROUP_ROOT) -> None:
    """Move this process to its own cgroup. Blocks for some milliseconds; failing does no harm."""
    try:
        for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            members = root / controllers.removeprefix("name=") / path.lstrip("/") / "cgroup.procs"
            if members.exists():
                members.write_text("0", "ascii")
                return
    except OSError:
        return


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it was started, be it the
    machine's or a cgroup's (proc(5), /proc/vmstat)."""
    for line in Path("/proc/vmstat").read_text("ascii").splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0
