"""Which network a container is in.

A provider makes a namespace for one container and takes it back. `host` and `none` need nothing
made; a bridge or CNI provider goes into the same table.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from croze.runtime.contract import NetworkMode
from croze.runtime.oci_spec import Namespace


class NetworkProvider(Protocol):
    """Makes networks for containers."""

    shares_host: bool
    """Whether addresses of the host's loopback can be reached from inside."""

    def open(self, container_id: str, hostname: str) -> AbstractAsyncContextManager[Namespace]:
        """A network for one container, taken down again on exit."""


class HostNetwork:
    """The daemon's own network."""

    shares_host = True

    @asynccontextmanager
    async def open(self, container_id: str, hostname: str) -> AsyncIterator[Namespace]:
        yield Namespace(host=True)


class NoNetwork:
    """Nothing but a loopback."""

    shares_host = False

    @asynccontextmanager
    async def open(self, container_id: str, hostname: str) -> AsyncIterator[Namespace]:
        yield Namespace(host=False)


def default_networks() -> Mapping[NetworkMode, NetworkProvider]:
    """Networks without a bridge: the sandbox shares the host's network, as BuildKit's `auto` mode
    does."""
    host = HostNetwork()
    return {"sandbox": host, "host": host, "none": NoNetwork()}
