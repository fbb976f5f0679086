"""The client's end of a session: its services, served over `Control.Session`.

The client is the HTTP/2 server of the stream (BuildKit `session/session.go`).
"""

from __future__ import annotations

import asyncio
import string
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from croze.aio.parallel import meanwhile
from croze.api import control_pb2
from croze.errors import CrozeError, Unavailable
from croze.gotypes.strings import to_bytes
from croze.identity import new_id
from croze.rpc.client_call import ClientCall
from croze.rpc.library import grpc
from croze.rpc.limits import HEADERS_LIMIT_BYTES
from croze.rpc.server import Server
from croze.rpc.status import from_rpc_error
from croze.session import manager
from croze.session.health import health_methods
from croze.session.lent_service import Announcing, LentService
from croze.session.messages import all_carried, bytes_head

if TYPE_CHECKING:
    from croze.rpc.channel import Channel

SESSION_METHOD = "/moby.buildkit.v1.Control/Session"


class LentSession:
    """An open session, as the client that lends it sees it."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.failure: CrozeError | None = None
        """Why the daemon ended it, if it said so."""
        self.was_taken = False
        """Whether the daemon has used it, or has begun to."""
        self._closed = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    async def wait_closed(self) -> None:
        """Wait until the daemon or this client has ended the session."""
        await self._closed.wait()

    def mark_closed(self) -> None:
        self._closed.set()


@asynccontextmanager
async def lend(
    channel: Channel,
    providers: Sequence[LentService],
    *,
    id: str = "",
    name: str = "",
    shared_key: str = "",
) -> AsyncIterator[LentSession]:
    """Open a session on a daemon's channel and serve `providers` until the block ends.

    One that the daemon refuses, or that there is no connection for, is closed, and its `failure`
    tells why: who goes on will hear of it.
    """
    session = LentSession(id or new_id())
    with _announced(providers) as more:
        headers = (*_headers(session.id, name, shared_key, providers), *more)

        async def begin() -> ClientCall:
            return await channel.open(SESSION_METHOD, headers)

        try:
            call = await begin()
        except grpc.RpcError as error:
            session.failure = from_rpc_error(error)
            session.mark_closed()
            yield session
            return
        async with meanwhile() as beside:
            beside.begin(_carry(session, call, begin, _server(providers)))
            yield session


@contextmanager
def _announced(providers: Sequence[LentService]) -> Iterator[list[tuple[str, str]]]:
    """The headers of providers that serve by other means than gRPC."""
    with ExitStack() as stack:
        offers = [p.announced() for p in providers if isinstance(p, Announcing)]
        yield [pair for offer in offers for pair in stack.enter_context(offer).items()]


def _headers(
    id: str, name: str, shared_key: str, providers: Sequence[LentService]
) -> tuple[tuple[str, str], ...]:
    methods = [f"/{p.service}/{method}" for p in providers for method in p.methods()]
    return (
        (manager.HEADER_ID, id),
        (manager.HEADER_NAME, name),
        (manager.HEADER_SHARED_KEY, _printable(shared_key)),
        *((manager.HEADER_METHOD, method) for method in (*methods, manager.HEALTH_CHECK)),
    )


def _printable(text: str) -> str:
    """A header takes printable ASCII only; a directory's name, of which the key is made, is any."""
    return quote(to_bytes(text), safe=string.punctuation + " ")


class _ServedCall:
    """The call's messages as `PromptBytes`, which remember how it ended."""

    def __init__(self, call: ClientCall) -> None:
        self._call = call
        self.failure: CrozeError | None = None
        self.was_taken = False
        """Whether anything has come."""

    async def read(self) -> bytes:
        try:
            return self._came(await self._call.receive())
        except grpc.RpcError as error:
            self.failure = from_rpc_error(error)
            return b""

    async def push(self, take: Callable[[bytes], None]) -> None:
        try:
            await self._call.push(lambda messages: take(self._came(messages)))
        except grpc.RpcError as error:
            self.failure = from_rpc_error(error)

    def _came(self, messages: Sequence[bytes]) -> bytes:
        data = all_carried(messages, control_pb2.BytesMessage.FromString)
        self.was_taken = self.was_taken or bool(data)
        return data

    @property
    def is_clear(self) -> bool:
        return self._call.is_clear

    def write_now(self, data: bytes) -> None:
        self._call.send_now(bytes_head(len(data)) + data)

    async def write(self, data: bytes) -> None:
        try:
            await self._call.send_pieces(bytes_head(len(data)), data)
        except (grpc.RpcError, Unavailable):
            raise ConnectionResetError("the daemon has ended it") from None


async def _carry(
    session: LentSession,
    call: ClientCall,
    begin_again: Callable[[], Awaitable[ClientCall]],
    server: Server,
) -> None:
    """Serve until the daemon or this client ends it. A call that the daemon has not looked at is
    made again, once."""
    try:
        await _serve(session, call, server)
        if call.is_unseen:
            await _serve(session, await begin_again(), server)
    except grpc.RpcError as error:
        session.failure = from_rpc_error(error)
    finally:
        session.mark_closed()


async def _serve(session: LentSession, call: ClientCall, server: Server) -> None:
    """Serve, and note why the daemon has ended it, if it has said so."""
    stream = _ServedCall(call)
    try:
        await server.serve(stream)
    finally:
        call.close()
    session.failure, session.was_taken = stream.failure, stream.was_taken


# -- the server ------------------------------------------------------------------------------


def _server(providers: Sequence[LentService]) -> Server:
    """A server of the providers. What a daemon wants sent is told in headers: there may be many
    patterns."""
    server = Server(headers_limit_bytes=HEADERS_LIMIT_BYTES)
    for provider in providers:
        server.add_methods(provider.service, provider.methods())
    server.add_methods(*health_methods())
    return server
