"""A daemon reduced to its sessions, and a client's channel to it, over a real Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from croze.api import control_pb2
from croze.rpc.channels import make_server, open_channel
from croze.rpc.servers import Context, aborting
from croze.session.contract import Session
from croze.session.manager import Sessions
from croze.session.provider import Provider
from croze.session.serve import lend


class Daemon:
    """`Control.Session` alone."""

    def __init__(self, path: Path) -> None:
        self.sessions = Sessions()
        self.address = f"unix:{path}"
        self._server = make_server()
        handler = grpc.stream_stream_rpc_method_handler(
            self._session,
            request_deserializer=control_pb2.BytesMessage.FromString,
            response_serializer=control_pb2.BytesMessage.SerializeToString,
        )
        table = {"Session": handler}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("moby.buildkit.v1.Control", table),)
        )
        self._server.add_insecure_port(self.address)

    async def _session(
        self, incoming: AsyncIterator[control_pb2.BytesMessage], context: Context
    ) -> None:
        async with aborting(context):
            await self.sessions.handle(incoming, context)

    async def __aenter__(self) -> Daemon:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with Daemon(tmp_path / "d.sock") as running:
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
            yield await daemon.sessions.get(lent.id)

    return open_session
