"""What gRPC is served on: a stream of bytes, of whatever it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable


class ByteStream(Protocol):
    """One end of a byte stream. Both methods raise `OSError` when it breaks."""

    async def read(self) -> bytes:
        """The next piece; empty at the end."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the other end does not take them."""


@runtime_checkable
class PushedBytes(Protocol):
    """A byte stream that calls back when something comes, which saves a task's turn for each
    piece. Both methods raise `OSError` when it breaks."""

    async def push(self, take: Callable[[bytes], None]) -> None:
        """Call `take` with what comes, until the end. Raises what it raises."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the other end does not take them."""


@runtime_checkable
class PromptBytes(ByteStream, PushedBytes, Protocol):
    """A byte stream of either kind that also takes what is written without a task's turn, as long
    as the other end does."""

    @property
    def is_clear(self) -> bool:
        """Whether all that was written has gone."""

    def write_now(self, data: bytes) -> None:
        """Send bytes without waiting: what the other end does not take is buffered."""
