"""The setting `networkMode`: which networks containers are in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from croze.daemon.config.toml import OciWorker
from croze.errors import InvalidRequest
from croze.gotypes.booleans import parse_bool

CNI_CONFIG: Final = "/etc/buildkit/cni.json"
"""Where the configuration of plugins is looked for."""


def network_mode(worker: OciWorker, environ: Mapping[str, str] = os.environ) -> str:
    """The mode that `auto` stands for here; any other as it is. Raises `InvalidRequest`."""
    mode = worker.network_mode or "auto"
    if mode == "auto" and worker.rootless:
        return "host"
    if mode == "auto":
        if parse_bool(environ.get("BUILDKIT_NETWORK_BRIDGE_AUTO", "")):
            return "bridge"
        return "cni" if os.path.exists(worker.cni_config_path or CNI_CONFIG) else "host"
    if mode not in ("host", "none", "bridge", "cni", "slirp4netns"):
        raise InvalidRequest(f'invalid network mode: "{mode}"')
    return mode


def host_gateway(worker: OciWorker) -> str:
    """An address at which containers reach this machine: their own, where they share its network;
    empty where nobody knows. Raises `InvalidRequest`."""
    mode = network_mode(worker)
    if mode == "bridge":
        from croze.runtime.networks.cni_config import gateway_of

        return gateway_of(worker.bridge_subnet)
    return "127.0.0.1" if mode == "host" else ""
