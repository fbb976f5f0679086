"""One gRPC call on an HTTP/2 connection, without I/O: what its two sides have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from croze.rpc.http2.messages import INTERNAL, OK, PREFIX_BYTES, Messages
from croze.rpc.status import RpcStatus, status

WINDOW_BYTES: Final = 4 << 20
"""What a peer may send of a call before somebody takes it."""

Headers = Sequence[tuple[str, str]]
Pieces = Sequence[bytes | memoryview]
"""Bytes that follow one another."""


def nothing() -> None:
    """A callback for streams of which nobody wants to hear."""


class Http2Stream:
    """What has come and what may go. `on_news` and `on_room` are called when there is more to take
    or the end, and when there may be room to send."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.widened = 0
        """By how much what the peer takes is more, or less, than what it takes of any stream."""
        self.window = WINDOW_BYTES
        self.incoming = Messages()
        self.ended: RpcStatus | None = None
        self.sent_all = False
        self.on_news: Callable[[], None] = nothing
        self.on_room: Callable[[], None] = nothing
        self._loan = 0
        self._taken_bytes = 0

    def take_in(self, pieces: Pieces) -> int:
        """Some of the messages' bytes; how much more than the window the peer may send now, for a
        message that does not fit. Raises `StreamBroken`."""
        length = self.incoming.add(pieces)
        return self._lend(length) if length else 0

    def _lend(self, length: int) -> int:
        """Room beyond the window, for a message that is too large to wait there for its rest."""
        if length <= WINDOW_BYTES // 2:
            return 0
        self._loan += length
        return length

    def take(self) -> list[bytes]:
        """All messages that are there."""
        messages = self.incoming.take()
        self._taken_bytes += sum(map(len, messages)) + PREFIX_BYTES * len(messages)
        paid = min(self._loan, self._taken_bytes)
        self._loan -= paid
        self._taken_bytes -= paid
        return messages

    def credit(self) -> int:
        """The increment for the peer's flow-control window; 0 until it is worth a frame."""
        if self._taken_bytes < WINDOW_BYTES // 2:
            return 0
        credit, self._taken_bytes = self._taken_bytes, 0
        return credit

    def on_reset(self, code: int) -> None:
        """The peer has ended the stream by RST_STREAM, with this error code."""

    def end(self, with_status: RpcStatus) -> None:
        """Close the stream in both directions. The first reason counts."""
        if self.ended is None:
            cut = with_status.code == OK and self.incoming.is_cut
            self.ended = status(INTERNAL, "unexpected EOF") if cut else with_status
            self.incoming.is_over()
            self.on_news()
            self.on_room()
