"""What would keep a daemon from building, told before it answers: it is opened only afterwards
(`daemon.workshop`)."""

from __future__ import annotations

from croze.daemon.config import OciWorker
from croze.daemon.network_mode import network_mode
from croze.runtime.binary import find_runtime


def check(worker: OciWorker) -> None:
    """See that steps can run by these settings. Raises what `open_executor` would raise."""
    find_runtime(worker.binary)
    if worker.default_cgroup_parent:
        from croze.runtime.cgroup_parent import CgroupParent

        CgroupParent.parse(worker.default_cgroup_parent)
    mode = network_mode(worker)
    if mode in ("bridge", "cni"):
        from croze.daemon.networks import network_config

        network_config(worker, mode)
