"""A session as the daemon sees it: services that one client lends while it builds.

Transport (BuildKit `session/`): the client calls `Control.Session`, a stream of byte messages that
carries raw HTTP/2 in which the client is the server. Request metadata names the session and the
gRPC methods it serves.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import grpc.aio

T = TypeVar("T")

Dial = Callable[[str], Awaitable[socket.socket]]
"""Connects to an abstract socket (SOCK_SEQPACKET) of a client on this machine, from the mount
namespace that the daemon was started in. Raises `OSError`."""


class Session(Protocol):
    """One client's open session."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def shared_key(self) -> str:
        """Hints that two sessions send the same directory, so that its transfer can be reused."""

    def header(self, name: str) -> str:
        """What the client said of itself under this lower-case name; empty if nothing."""

    async def dial(self, name: str) -> socket.socket:
        """See `Dial`."""

    def serves(self, method: str) -> bool:
        """`method` is a full gRPC path such as `/moby.filesync.v1.FileSync/DiffCopy`."""

    @property
    def channel(self) -> grpc.aio.Channel:
        """Dials the client's services. Calls fail with `UNAVAILABLE` once the client is gone."""

    async def wait_closed(self) -> None: ...


class SessionManager(Protocol):
    """All sessions that are open now."""

    async def get(self, id: str, timeout_s: float = 5.0) -> Session:
        """Waits for a session that is about to connect. Raises `errors.NotFound`, worded
        `no active session for <id>: context deadline exceeded`."""

    def current(self, id: str) -> Session | None: ...

    def uploaded(self, url: str) -> AsyncIterator[bytes] | None:
        """What the daemon itself was given for this URL (see `upload`), to be read once; None if a
        session has it."""

    async def first(self, ids: Sequence[str], use: Callable[[Session], Awaitable[T]]) -> T:
        """Try `use` on each session in turn until one answers, those that are open before those
        that may be about to; the last error is raised."""
