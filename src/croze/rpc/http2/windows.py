"""How much a peer takes, of a connection and of each of its streams (RFC 9113, 5.2 and 6.9)."""

from __future__ import annotations

from collections.abc import Iterable

from croze.rpc.http2 import frames
from croze.rpc.http2.frames import Code, ConnectionBroken
from croze.rpc.http2.stream import Http2Stream


class Windows:
    """The windows of one peer. What it says of all streams at once costs the same however many
    there are: it may say so thousands of times in a breath."""

    def __init__(self) -> None:
        self._each = self._all = frames.DEFAULT_WINDOW
        self._widest = 0
        """No stream that is open was widened by more."""

    def room(self, stream: Http2Stream) -> int:
        """How much of a stream may go now; less than nothing where the peer has narrowed it."""
        return min(self._each + stream.widened, self._all)

    def spend(self, stream: Http2Stream, size: int) -> None:
        """Take so many bytes from a stream's window and from the connection's."""
        stream.widened -= size
        self._all -= size

    def widen_all(self, more: int) -> None:
        """Enlarge the connection's window. Raises `ConnectionBroken`."""
        self._all += more
        if self._all > frames.LARGEST_WINDOW:
            raise ConnectionBroken(Code.FLOW_CONTROL_ERROR, "a window beyond all bounds")

    def widen(self, stream: Http2Stream, more: int) -> None:
        """Enlarge a stream's window. Raises `ConnectionBroken`."""
        stream.widened += more
        self._widest = max(self._widest, stream.widened)
        self._check(stream.widened)

    def set_each(self, size: int, streams: Iterable[Http2Stream]) -> None:
        """Every stream begins with this size; those that have begun have so much more or less.
        Raises `ConnectionBroken`."""
        if size > frames.LARGEST_WINDOW:
            raise ConnectionBroken(Code.FLOW_CONTROL_ERROR, f"a window of {size}")
        self._each = size
        if size + self._widest > frames.LARGEST_WINDOW:
            self._widest = max((stream.widened for stream in streams), default=0)
            self._check(self._widest)

    def _check(self, widened: int) -> None:
        if self._each + widened > frames.LARGEST_WINDOW:
            message = "a stream's window beyond all bounds"
            raise ConnectionBroken(Code.FLOW_CONTROL_ERROR, message)
