"""What would keep a daemon from building, told before it answers: it is opened only afterwards
(`daemon.engine.build_services`)."""

from __future__ import annotations

import os
from pathlib import Path

from croze.daemon.config.toml import OciWorker
from croze.daemon.host.sockets import make_way
from croze.daemon.worker.network_mode import network_mode
from croze.errors import InvalidRequest
from croze.runtime.binary import find_runtime


def check(worker: OciWorker, socket_path: str = "") -> None:
    """See that steps can run by these settings; `socket_path` is `otel`'s. Raises what
    `open_build_services` would raise."""
    find_runtime(worker.binary)
    if worker.default_cgroup_parent:
        from croze.runtime.cgroup_parent import CgroupParent

        CgroupParent.parse(worker.default_cgroup_parent)
    mode = network_mode(worker)
    if mode in ("bridge", "cni"):
        from croze.daemon.worker.networks import network_config

        network_config(worker, mode)
    elif mode == "slirp4netns":
        from croze.runtime.networks.slirp import find_program

        find_program()
    if socket_path:
        _check_place(Path(socket_path).absolute())


def _check_place(path: Path) -> None:
    """See that a socket can be made there."""
    try:
        make_way(path.parent)
        possible = os.access(path.parent, os.W_OK | os.X_OK) and not path.is_dir()
    except OSError:
        possible = False
    if not possible:
        raise InvalidRequest(f"creating trace controller listener: cannot listen on {path}")
