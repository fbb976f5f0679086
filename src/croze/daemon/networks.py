"""Which networks containers can be in: the setting `networkMode`, put into practice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from croze.daemon.config import OciWorker
from croze.errors import InvalidRequest
from croze.runtime.cni_config import (
    DEBIAN_PLUGINS,
    DEFAULT_CONFIG,
    DEFAULT_PLUGINS,
    DEFAULT_SUBNET,
    NetworkConfig,
    bridge_config,
    read_config,
)
from croze.runtime.contract import NetworkMode
from croze.runtime.network import NetworkProvider, NoNetwork, default_networks

if TYPE_CHECKING:
    from croze.runtime.cni import CniNetwork

_TRUE = ("1", "t", "T", "true", "TRUE", "True")


def network_mode(worker: OciWorker, environ: Mapping[str, str] = os.environ) -> str:
    """The mode that `auto` stands for here; any other as it is. Raises `InvalidRequest`."""
    mode = worker.network_mode or "auto"
    if mode == "auto" and worker.rootless:
        return "host"
    if mode == "auto":
        if environ.get("BUILDKIT_NETWORK_BRIDGE_AUTO", "") in _TRUE:
            return "bridge"
        return "cni" if Path(worker.cni_config_path or DEFAULT_CONFIG).exists() else "host"
    if mode not in ("host", "none", "bridge", "cni", "slirp4netns"):
        raise InvalidRequest(f'invalid network mode: "{mode}"')
    return mode


def host_gateway(worker: OciWorker) -> str:
    """An address at which containers reach this machine: their own, where they share its network;
    empty where nobody knows."""
    mode = network_mode(worker)
    if mode == "bridge":
        from ipaddress import ip_interface

        return str(ip_interface(worker.bridge_subnet or DEFAULT_SUBNET).network[1])
    return "127.0.0.1" if mode == "host" else ""


async def networks(
    worker: OciWorker, folder: Path, stack: AsyncExitStack
) -> Mapping[NetworkMode, NetworkProvider]:
    """The networks by the name that a step asks for; what they need is closed with `stack`.

    `slirp4netns` is Croze's own mode, for ordinary users. Raises `Unsupported` or `Unavailable`
    for a mode that needs what isn't there.
    """
    providers = dict(default_networks())
    match network_mode(worker):
        case "none":
            return {**providers, "sandbox": NoNetwork()}
        case "slirp4netns":
            from croze.runtime.slirp import SlirpNetwork

            slirp = SlirpNetwork(folder)
            stack.push_async_callback(slirp.close)
            return {**providers, "sandbox": slirp}
        case "bridge" | "cni" as mode:
            return {
                **providers,
                "sandbox": await _cni(_config(worker, mode), worker, folder, stack),
            }
    return providers


def _config(worker: OciWorker, mode: str) -> NetworkConfig:
    if mode == "bridge":
        return bridge_config(
            worker.bridge_name, worker.bridge_subnet, worker.cni_binary_path, os.environ
        )
    own = worker.cni_binary_path
    folders = (own,) if own else (DEFAULT_PLUGINS, DEBIAN_PLUGINS)
    return read_config(Path(worker.cni_config_path or DEFAULT_CONFIG), folders)


async def _cni(
    config: NetworkConfig, worker: OciWorker, folder: Path, stack: AsyncExitStack
) -> CniNetwork:
    from croze.runtime.cni import CniNetwork

    attached = folder / "networks"
    attached.mkdir(mode=0o700, exist_ok=True)
    network = CniNetwork(
        config,
        attached,
        pool_size=worker.cni_pool_size,
        init_lock=os.environ.get("BUILDKIT_CNI_INIT_LOCK_PATH", ""),
    )
    stack.push_async_callback(network.close)
    await network.sweep()
    return network
