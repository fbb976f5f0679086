"""Which networks containers can be in: the setting `networkMode`, put into practice."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from croze.daemon.config import OciWorker
from croze.errors import Unsupported
from croze.runtime.contract import NetworkMode
from croze.runtime.network import NetworkProvider, NoNetwork, default_networks
from croze.runtime.slirp import SlirpNetwork


def networks(
    worker: OciWorker, folder: Path, stack: AsyncExitStack
) -> Mapping[NetworkMode, NetworkProvider]:
    """The networks by the name that a step asks for; what they need is closed with `stack`.

    `slirp4netns` is Croze's own mode, for ordinary users. Raises `Unsupported`.
    """
    made = dict(default_networks())
    match worker.network_mode:
        case "" | "auto" | "host":
            return made
        case "none":
            return {**made, "sandbox": NoNetwork()}
        case "slirp4netns":
            slirp = SlirpNetwork(folder)
            stack.callback(slirp.close)
            return {**made, "sandbox": slirp}
        case mode:
            raise Unsupported(f'network mode "{mode}" is not supported')
