"""Networks with nothing in them but a proxy."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.aio.threads import in_thread
from croze.runtime.networks.netns import in_namespace, make_namespace, remove_namespace
from croze.runtime.oci_spec import Namespace
from croze.runtime.proxied import Proxied

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

    from croze.http.daemon import OpenSocket
    from croze.runtime.proxy.authority import ProxyAuthority

_NOT_ASKED = "127.0.0.1,localhost,::1"
_BACKLOG = 128


class ProxyPlace(Struct, frozen=True):
    """Where one container is. `env` tells it of its proxy; `authority` is to be trusted, as PEM."""

    namespace: Namespace
    env: Sequence[str]
    authority: bytes


class ProxyNetworks:
    """Makes networks with nothing in them but a proxy. The authority is made with the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority: ProxyAuthority | None = None

    @asynccontextmanager
    async def open(
        self, container_id: str, proxied: Proxied, outside: Namespace
    ) -> AsyncIterator[ProxyPlace]:
        """A network for one container, taken down again on exit. The proxy asks from `outside`,
        by names as the daemon knows them."""
        from croze.runtime.proxy.authority import ProxyAuthority  # few builds have such a network
        from croze.runtime.proxy.server import serving

        if self._authority is None:
            self._authority = await in_thread(ProxyAuthority)
        authority, file = self._authority, self._folder / f"{container_id}.net"
        await in_thread(self._make, file)
        try:
            listener = await in_thread(in_namespace, file, _listen)
            with listener:
                address = f"http://127.0.0.1:{listener.getsockname()[1]}"
                async with serving(listener, proxied, authority, sockets_of(outside)):
                    namespace = Namespace(host=False, path=str(file))
                    yield ProxyPlace(namespace, _env(address), authority.pem)
        finally:
            await in_thread(remove_namespace, file)

    def _make(self, file: Path) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_namespace(file)


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    return listener


def sockets_of(outside: Namespace) -> OpenSocket | None:
    """What makes sockets in a container's network; None where that is the daemon's own."""
    if outside.host:
        return None

    def open_socket(info: AddrInfoType) -> socket.socket:
        if not outside.path:  # there is nothing there but a loopback
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        family, kind, protocol, *_ = info
        return in_namespace(Path(outside.path), lambda: socket.socket(family, kind, protocol))

    return open_socket


def _env(address: str) -> list[str]:
    pairs = {"HTTP_PROXY": address, "HTTPS_PROXY": address, "NO_PROXY": _NOT_ASKED}
    return [f"{name}={value}" for key, value in pairs.items() for name in (key, key.lower())]
