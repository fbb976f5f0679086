"""A daemon reduced to its sessions, and a client's channel to it, over a real Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from croze.aio.streams import listening
from croze.api import control_pb2
from croze.daemon.inner import InnerPort
from croze.daemon.listen import Relays
from croze.daemon.server import OPTIONS
from croze.rpc.channels import make_server, open_channel
from croze.rpc.servers import Context, aborting
from croze.session.contract import Session
from croze.session.manager import Sessions
from croze.session.provider import Provider
from croze.session.serve import lend


class Hasty(Sessions):
    """Who is not there yet is waited for only for a moment."""

    async def get(self, id: str, timeout_s: float = 0.1) -> Session:
        return await super().get(id, timeout_s)


class Daemon:
    """`Control.Session` alone. Connections are relayed to it, as the real one's are, or not."""

    def __init__(self, folder: Path, sessions: Sessions, *, relayed: bool = True) -> None:
        self.sessions = sessions
        self.address = f"unix:{folder}/d.sock"
        self._server = make_server(OPTIONS)
        self._inner = InnerPort(self._server, folder / "inner")
        self._relays = Relays(self._inner, self.sessions)
        self._stack = AsyncExitStack()
        self._folder = folder
        self._relayed = relayed
        handler = grpc.stream_stream_rpc_method_handler(
            self._session,
            request_deserializer=control_pb2.BytesMessage.FromString,
            response_serializer=control_pb2.BytesMessage.SerializeToString,
        )
        table = {"Session": handler}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("moby.buildkit.v1.Control", table),)
        )

    async def _session(
        self, incoming: AsyncIterator[control_pb2.BytesMessage], context: Context
    ) -> None:
        async with aborting(context):
            await self.sessions.handle(incoming, context)

    async def __aenter__(self) -> Daemon:
        self._stack.callback(self._inner.close)
        if self._relayed:
            outer = listening(f"{self._folder}/d.sock")
            await self._stack.enter_async_context(self._relays.relay(outer))
        else:
            self._server.add_insecure_port(self.address)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)
        await self._stack.aclose()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with Daemon(tmp_path, Sessions()) as running:
        yield running


Lend = Callable[[Sequence[Provider]], AbstractAsyncContextManager[Session]]


@pytest.fixture
def lending(daemon: Daemon) -> Lend:
    """Lend services; the session as the daemon sees it."""

    @asynccontextmanager
    async def open_session(providers: Sequence[Provider]) -> AsyncIterator[Session]:
        async with (
            open_channel(daemon.address) as channel,
            lend(channel, providers, name="test", shared_key="key") as lent,
        ):
            yield await daemon.sessions.get(lent.id, timeout_s=10)

    return open_session
