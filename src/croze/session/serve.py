"""The client's end of a session: its services, served over `Control.Session`.

The client is the HTTP/2 server of the stream (BuildKit `session/session.go`).
"""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TypeAlias
from urllib.parse import quote

import grpc
import grpc.aio

from croze.api import control_pb2
from croze.errors import CrozeError
from croze.gotypes.strings import to_bytes
from croze.rpc import channels
from croze.rpc.server import Server
from croze.rpc.status import from_rpc_error
from croze.session import manager
from croze.session.health import health_methods
from croze.session.provider import Announcing, LentService

SAYS_SO_S = 2.0
"""How long a daemon may take to say that it is a `crozed`, before it is asked."""
SESSION_METHOD = "/moby.buildkit.v1.Control/Session"

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id() -> str:
    """An identifier as BuildKit makes them: 25 characters, base 36."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(25))


class LentSession:
    """An open session, as the client that lends it sees it."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.failure: CrozeError | None = None
        """Why the daemon ended it, if it said so."""
        self._closed = asyncio.Event()
        self._call: _SessionCall | None = None

    async def of_crozed(self) -> bool:
        """Whether a `crozed` says that it has it. One may not say so, and others may say nothing
        before they have something to ask."""
        if self._call is None:
            return False
        try:
            async with asyncio.timeout(SAYS_SO_S):
                metadata = await self._call.initial_metadata()
        except TimeoutError:
            return False
        return any(key == manager.HEADER_DAEMON for key, _ in metadata or ())

    def begin(self, call: _SessionCall) -> None:
        self._call = call

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    async def wait_closed(self) -> None:
        """Returns when the daemon went away, or when the session was closed here."""
        await self._closed.wait()

    def mark_closed(self) -> None:
        self._closed.set()


@asynccontextmanager
async def lend(
    channel: grpc.aio.Channel,
    providers: Sequence[LentService],
    *,
    id: str = "",
    name: str = "",
    shared_key: str = "",
) -> AsyncIterator[LentSession]:
    """Open a session on a daemon's channel and serve `providers` until the block ends.

    Raises `grpc.RpcError` from within when the daemon refuses the session.
    """
    session = LentSession(id or new_id())
    with _announced(providers) as more:
        headers = (*_headers(session.id, name, shared_key, providers), *more)
        call: _SessionCall = channel.stream_stream(
            SESSION_METHOD,
            control_pb2.BytesMessage.SerializeToString,
            control_pb2.BytesMessage.FromString,
        )(None, metadata=headers)
        session.begin(call)
        failed: BaseException | None = None
        async with asyncio.TaskGroup() as group:
            carrying = group.create_task(_carry(session, call, _server(providers)))
            try:
                yield session
            except BaseException as error:  # raised below: not to come out as a group
                failed = error
            carrying.cancel()
    if failed is not None:
        raise failed


@contextmanager
def _announced(providers: Sequence[LentService]) -> Iterator[list[tuple[str, str]]]:
    """The headers of providers that serve by other means than gRPC."""
    with ExitStack() as stack:
        offers = [p.announced() for p in providers if isinstance(p, Announcing)]
        yield [pair for offer in offers for pair in stack.enter_context(offer).items()]


_SessionCall: TypeAlias = (
    "grpc.aio.StreamStreamCall[control_pb2.BytesMessage, control_pb2.BytesMessage]"
)


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


class _Call:
    """The call's messages as a `ByteStream`, which remembers how it ended."""

    def __init__(self, call: _SessionCall) -> None:
        self._call = call
        self.failure: CrozeError | None = None

    async def read(self) -> bytes:
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            self.failure = from_rpc_error(error)
            return b""
        return message.data if isinstance(message, control_pb2.BytesMessage) else b""

    async def write(self, data: bytes) -> None:
        try:
            await self._call.write(control_pb2.BytesMessage(data=data))
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            # grpc's ways of saying that the call is over already.
            raise ConnectionResetError("the daemon has ended it") from None


async def _carry(session: LentSession, call: _SessionCall, server: Server) -> None:
    """Serve until the daemon or this client ends it."""
    stream = _Call(call)
    try:
        await server.serve(stream)
    finally:
        session.failure = stream.failure
        session.mark_closed()
        call.cancel()


# -- the server ------------------------------------------------------------------------------


def _server(providers: Sequence[LentService]) -> Server:
    """Of the providers. What a daemon wants sent is told in headers: there may be many patterns."""
    server = Server(headers_limit_bytes=channels.HEADERS_LIMIT_BYTES)
    for provider in providers:
        server.add_methods(provider.service, provider.methods())
    server.add_methods(*health_methods())
    return server
