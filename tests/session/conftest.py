"""A daemon reduced to its sessions, and a client's channel to it, over a real Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from croze.api import control_pb2
from croze.rpc.call import Requests, ServerCall
from croze.rpc.channel import Channel
from croze.rpc.server import Server
from croze.rpc.servers import aborting
from croze.session.contract import Session
from croze.session.lent_service import LentService
from croze.session.manager import Sessions
from croze.session.serve import lend
from tests.rpc.served import served


class Hasty(Sessions):
    """Who is not there yet is waited for only for a moment."""

    async def get(self, id: str, timeout_s: float = 0.1) -> Session:
        return await super().get(id, timeout_s)


class Daemon:
    """`Control.Session` alone."""

    def __init__(self, folder: Path, sessions: Sessions) -> None:
        self.sessions = sessions
        self.address = f"unix:{folder}/d.sock"
        self._path = folder / "d.sock"
        self._server = Server()
        self._stack = AsyncExitStack()
        handler: grpc.RpcMethodHandler[object, object] = grpc.stream_stream_rpc_method_handler(
            self._session,
            request_deserializer=control_pb2.BytesMessage.FromString,
            response_serializer=control_pb2.BytesMessage.SerializeToString,
        )
        self._server.add_methods("moby.buildkit.v1.Control", {"Session": handler})

    async def _session(
        self, incoming: Requests[control_pb2.BytesMessage], context: ServerCall
    ) -> None:
        async with aborting(context):
            await self.sessions.handle(incoming, context)

    async def __aenter__(self) -> Daemon:
        await self._stack.enter_async_context(served(self._server, self._path))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with Daemon(tmp_path, Sessions()) as running:
        yield running


Lend = Callable[[Sequence[LentService]], AbstractAsyncContextManager[Session]]


@pytest.fixture
def lending(daemon: Daemon) -> Lend:
    """Lend services; the session as the daemon sees it."""

    @asynccontextmanager
    async def open_session(providers: Sequence[LentService]) -> AsyncIterator[Session]:
        async with (
            Channel(daemon.address) as channel,
            lend(channel, providers, name="test", shared_key="key") as lent,
        ):
            yield await daemon.sessions.get(lent.id, timeout_s=10)

    return open_session
