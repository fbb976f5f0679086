"""All open sessions of a daemon, and the stream each of them lives on.

Source: BuildKit `session/manager.go`, `session/grpc.go`. A session lives as long as its stream; a
client that stops answering health checks is taken for gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from google.protobuf.empty_pb2 import Empty
from msgspec import Struct

from croze import errors
from croze.aio.parallel import root_cause
from croze.api import control_pb2
from croze.rpc.bytestream import ByteStream, PushedBytes
from croze.rpc.call import ServerCall
from croze.rpc.call import read as parsed
from croze.rpc.library import grpc
from croze.rpc.status import as_croze_error
from croze.session import contract, packets
from croze.session.messages import all_carried, bytes_head
from croze.session.packets import Dial
from croze.session.visit import HEADER as HEADER_HOST
from croze.session.visit import HostVisit

if TYPE_CHECKING:
    from croze.session.tunnel import SessionTunnel

log = logging.getLogger(__name__)

HEADER_ID = "x-docker-expose-session-uuid"
HEADER_NAME = "x-docker-expose-session-name"
HEADER_SHARED_KEY = "x-docker-expose-session-sharedkey"
HEADER_METHOD = "x-docker-expose-session-grpc-method"
HEADER_HEALTH_TIMEOUT = "x-buildkit-session-health-custom-timeout"

HEALTH_CHECK = "/grpc.health.v1.Health/Check"

_SLICES = 10
"""Parts of the time that a session is waited for."""
_ENDING_S = 1.0
"""How long a session's end may take while its client comes back already."""

T = TypeVar("T")


class HealthPolicy(Struct, frozen=True):
    """How often a client is asked, and when it is given up."""

    interval_s: float = 5.0
    timeout_s: float = 15.0
    failures: int = 2

    @classmethod
    def of_headers(cls, headers: Headers) -> HealthPolicy:
        """A client may ask to be given up sooner: milliseconds, never below one second."""
        value = headers.first(HEADER_HEALTH_TIMEOUT)
        if not value.isdecimal() or int(value) <= 0:
            return cls()
        seconds = max(int(value) / 1000, 1.0)
        return cls(interval_s=seconds, timeout_s=seconds, failures=1)


class Headers(Struct, frozen=True):
    """What a client said about its session. Names are lower case."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str | bytes]]) -> Headers:
        return cls(tuple((k.lower(), v) for k, v in pairs if isinstance(v, str)))

    def first(self, name: str) -> str:
        return next((v for k, v in self.pairs if k == name), "")

    def all(self, name: str) -> list[str]:
        return [v for k, v in self.pairs if k == name]


class OpenSession:
    """One client's open session: what `contract.Session` promises."""

    def __init__(self, headers: Headers, calls: contract.Calls, dial: Dial) -> None:
        self._headers = headers
        self.host = HostVisit(headers.first(HEADER_HOST), dial)
        self._methods = frozenset(m.lower() for m in headers.all(HEADER_METHOD))
        self._calls = calls
        self._closed = asyncio.Event()

    @property
    def id(self) -> str:
        return self._headers.first(HEADER_ID)

    @property
    def name(self) -> str:
        return self._headers.first(HEADER_NAME)

    @property
    def shared_key(self) -> str:
        return self._headers.first(HEADER_SHARED_KEY)

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    @property
    def calls(self) -> contract.Calls:
        """See `contract.Session.calls`."""
        if self.closed:
            raise errors.Unavailable(f"session {self.id} is closed")
        return self._calls

    def serves(self, method: str) -> bool:
        return method.lower() in self._methods

    async def wait_closed(self) -> None:
        await self._closed.wait()

    def mark_closed(self) -> None:
        """Note that the client is gone: who waits for that goes on."""
        self._closed.set()
        self.host.close()


class Sessions:
    """All sessions that are open now: what `contract.SessionManager` promises."""

    def __init__(self, dial: Dial | None = None) -> None:
        """`dial`: makes connections to clients on this machine; without it this process does."""
        self._dial = dial or packets.connect
        self._open: dict[str, OpenSession] = {}
        self._uploads: dict[str, AsyncIterator[bytes]] = {}
        self._arrived = asyncio.Event()
        """Set, and replaced, with every session that opens."""

    # -- look-up --

    def current(self, id: str) -> contract.Session | None:
        """The session if it is open. A prefix up to a colon, which tells vertices apart, is
        ignored."""
        return self._open.get(_bare(id))

    def uploaded(self, url: str) -> AsyncIterator[bytes] | None:
        return self._uploads.pop(url, None)

    @contextlib.contextmanager
    def uploading(self, url: str, pieces: AsyncIterator[bytes]) -> Iterator[None]:
        """Let the URL stand for these bytes while inside, which come to this process without a
        session."""
        self._uploads[url] = pieces
        try:
            yield
        finally:
            self._uploads.pop(url, None)

    async def get(self, id: str, timeout_s: float = 5.0) -> contract.Session:
        bare = _bare(id)
        # In slices: a daemon that was held up counts one, however long that took.
        for _ in range(_SLICES):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s / _SLICES):
                    while bare not in self._open:
                        await self._arrived.wait()
            if (session := self._open.get(bare)) is not None:
                return session
        raise errors.SessionMissing(f"no active session for {bare}: context deadline exceeded")

    async def first(self, ids: Sequence[str], use: Callable[[contract.Session], Awaitable[T]]) -> T:
        last: errors.CrozeError = errors.NotFound("no active sessions")
        for id in sorted(ids, key=lambda id: self.current(id) is None):
            try:
                return await use(await self.get(id))
            except (errors.CrozeError, grpc.RpcError) as error:
                last = as_croze_error(error)
        raise last

    # -- the stream --

    async def handle(self, incoming: Incoming, context: ServerCall) -> None:
        """The whole of a `Control.Session` call; returns when the session is over."""
        headers = Headers.of((k, v) for k, v in context.invocation_metadata() or ())
        await context.send_initial_metadata(())  # for clients that wait for them
        await self.serve(headers, _CallStream(incoming, context))

    async def serve(self, headers: Headers, connection: ByteStream | PushedBytes) -> None:
        """Keep one session open on a byte stream of HTTP/2, until either side ends it."""
        if not headers.first(HEADER_ID):
            raise errors.InvalidRequest("session without an id")
        from croze.session.tunnel import SessionTunnel  # with the first session: it takes its time

        tunnel = SessionTunnel(connection)
        session = OpenSession(headers, tunnel, self._dial)
        await self._ended(session.id)
        with self._registered(session):
            await _carry(session, tunnel, HealthPolicy.of_headers(headers))

    async def _ended(self, id: str) -> None:
        """Wait for the end of the session that had this id, if it comes soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_S):
                while (last := self._open.get(id)) is not None:
                    await last.wait_closed()

    @contextlib.contextmanager
    def _registered(self, session: OpenSession) -> Iterator[None]:
        if session.id in self._open:
            raise errors.AlreadyExists(f"session {session.id} already exists")
        self._open[session.id] = session
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()
        try:
            yield
        finally:
            del self._open[session.id]
            session.mark_closed()


def _bare(id: str) -> str:
    prefix, _, rest = id.partition(":")
    return rest or prefix


class Incoming(Protocol):
    """The messages of a session's call: `rpc.call.Requests`."""

    async def push_raw(self, take: Callable[[Sequence[bytes]], None]) -> None:
        """Hand over all messages, serialised, as they come, until the end of the call."""


class _CallStream:
    """The call's messages as `PushedBytes`."""

    def __init__(self, incoming: Incoming, context: ServerCall) -> None:
        self._incoming = incoming
        self._context = context

    async def push(self, take: Callable[[bytes], None]) -> None:
        def carry(messages: Sequence[bytes]) -> None:
            if data := all_carried(messages, _parsed):
                take(data)

        await self._incoming.push_raw(carry)

    async def write(self, data: bytes) -> None:
        await self._context.send_pieces(bytes_head(len(data)), data)


def _parsed(message: bytes) -> control_pb2.BytesMessage:
    """The message, or `CallBroken` for what is none."""
    return parsed(control_pb2.BytesMessage.FromString, message)


async def _carry(session: OpenSession, tunnel: SessionTunnel, policy: HealthPolicy) -> None:
    """Keep the session until the stream ends, or the client does not answer any more. Raises
    `errors.InvalidRequest` for what is no HTTP/2."""
    try:
        async with asyncio.TaskGroup() as group:
            visiting = group.create_task(session.host.begin())
            work = (
                group.create_task(tunnel.run()),
                group.create_task(_watch_health(session, tunnel, policy)),
            )
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for each in (visiting, *work):
                each.cancel()
    except BaseExceptionGroup as failed:
        cause = root_cause(failed)
        if not isinstance(cause, OSError | grpc.RpcError):
            raise cause from None
        log.debug("session %s: %s", session.id, cause)


async def _watch_health(session: OpenSession, calls: contract.Calls, policy: HealthPolicy) -> None:
    """Returns when the client failed too many checks in a row."""
    failures, last_s = 0, 0.0
    while failures < policy.failures:
        await asyncio.sleep(policy.interval_s)
        started = time.monotonic()
        try:
            # A slow line makes checks slow: allow for what the last one took.
            await calls.ask(
                HEALTH_CHECK, Empty(), Empty, timeout_s=max(policy.timeout_s, last_s * 1.5)
            )
            failures = 0
        except errors.CrozeError as error:
            failures += 1
            log.debug("session %s: health check failed: %s", session.id, error)
        last_s = time.monotonic() - started
    log.warning("session %s: health check failed for good", session.id)
