"""A session as the daemon sees it: services that one client lends while it builds.

Transport (BuildKit `session/`): the client calls `Control.Session`, a stream of byte messages that
carries raw HTTP/2 in which the client is the server. Request metadata names the session and the
gRPC methods it serves.

    session = await manager.get(id)
    method = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
    if session.serves(method):
        answer = await session.calls.ask(method, request, answer_type)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias, TypeVar

from google.protobuf.message import Message

from croze.session.visit import HostVisit

T = TypeVar("T")
Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

Metadata: TypeAlias = Sequence[tuple[str, str]]
"""Lower-case keys, and values of printable ASCII."""


class MessageStream(Protocol):
    """One call that streams messages, serialised, both ways."""

    async def send(self, *messages: bytes) -> None:
        """Waits while the client does not take them. From one task at a time. Raises the
        `CrozeError` that the client has ended the call with, and `errors.Unavailable` if it has
        ended it well."""

    async def send_pieces(self, first: bytes, *others: bytes | memoryview) -> None:
        """One message, in pieces, of which only the first is copied: they must not change. See
        `send`."""

    async def done_sending(self) -> None:
        """Tell the client that there is nothing more to send. Nothing happens if the client has
        ended the call."""

    async def receive(self) -> Sequence[bytes]:
        """All messages that have come, at least one; none when the client has ended the call well.
        From one task at a time, and may be cancelled without losing any. Raises the `CrozeError`
        that the client ended it with."""


class Calls(Protocol):
    """A client's services. Calls fail with `errors.Unavailable` once the client is gone. Raise
    `errors.InvalidRequest` for metadata that can't be sent."""

    async def ask(
        self,
        method: str,
        request: Q,
        answer: type[R],
        *,
        metadata: Metadata = (),
        timeout_s: float | None = None,
    ) -> R:
        """One question, one answer. Raises the `CrozeError` that the client answers with."""

    def stream(
        self, method: str, metadata: Metadata = ()
    ) -> AbstractAsyncContextManager[MessageStream]:
        """A call that is open inside; leaving the block cancels it unless it has ended."""


class Session(Protocol):
    """One client's open session."""

    @property
    def id(self) -> str:
        """The id that the client chose."""

    @property
    def name(self) -> str:
        """What the client calls the session."""

    @property
    def shared_key(self) -> str:
        """Hints that two sessions send the same directory, so that its transfer can be reused."""

    @property
    def host(self) -> HostVisit:
        """Where it lends what is open, if it is on this machine: see `hostdir`."""

    def serves(self, method: str) -> bool:
        """Whether the client serves a method, by its full gRPC path such as
        `/moby.filesync.v1.FileSync/DiffCopy`."""

    @property
    def calls(self) -> Calls:
        """The client's services, to be called. Raises `errors.Unavailable` once the client is
        gone."""

    async def wait_closed(self) -> None:
        """Wait for the session's end, whoever ends it."""


class SessionManager(Protocol):
    """All sessions that are open now."""

    async def get(self, id: str, timeout_s: float = 5.0) -> Session:
        """Waits for a session that is about to connect. Raises `errors.SessionMissing`, worded
        `no active session for <id>: context deadline exceeded`."""

    def current(self, id: str) -> Session | None:
        """The session of that id if it is open now."""

    def uploaded(self, url: str) -> AsyncIterator[bytes] | None:
        """What the daemon itself was given for this URL (see `upload`), to be read once; None if a
        session has it."""

    async def first(self, ids: Sequence[str], use: Callable[[Session], Awaitable[T]]) -> T:
        """Try `use` on each session in turn until one answers, those that are open before those
        that may be about to; the last error is raised."""
