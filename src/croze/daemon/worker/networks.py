"""Which networks containers can be in: `daemon.worker.network_mode`, put into practice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from croze.daemon.config.toml import OciWorker
from croze.daemon.worker.network_mode import CNI_CONFIG, network_mode
from croze.runtime.contract import NetworkMode
from croze.runtime.networks.cni_config import (
    DEBIAN_PLUGINS,
    DEFAULT_PLUGINS,
    NetworkConfig,
    bridge_config,
    read_config,
)
from croze.runtime.networks.provider import NetworkProvider, NoNetwork, default_networks

if TYPE_CHECKING:
    from croze.runtime.networks.cni import CniNetwork


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
            from croze.runtime.networks.slirp import SlirpNetwork

            slirp = SlirpNetwork(folder)
            stack.push_async_callback(slirp.close)
            return {**providers, "sandbox": slirp}
        case "bridge" | "cni" as mode:
            return {
                **providers,
                "sandbox": await _cni(network_config(worker, mode), worker, folder, stack),
            }
    return providers


def network_config(worker: OciWorker, mode: str) -> NetworkConfig:
    """The plugins of the mode `bridge` or `cni`. Raises `InvalidRequest`, `Unavailable`."""
    if mode == "bridge":
        return bridge_config(
            worker.bridge_name, worker.bridge_subnet, worker.cni_binary_path, os.environ
        )
    own = worker.cni_binary_path
    folders = (own,) if own else (DEFAULT_PLUGINS, DEBIAN_PLUGINS)
    return read_config(Path(worker.cni_config_path or CNI_CONFIG), folders)


async def _cni(
    config: NetworkConfig, worker: OciWorker, folder: Path, stack: AsyncExitStack
) -> CniNetwork:
    from croze.runtime.networks.cni import CniNetwork

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
