"""What goes through an HTTP/2 connection one way, taken apart: see `splice`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from croze.rpc.http2 import frames
from croze.rpc.http2.frames import Code
from croze.rpc.http2.messages import Messages, StreamBroken
from croze.rpc.http2.stream import nothing

FRAME_BYTES: Final = 64 << 10
"""So large may frames be that are looked into, other than DATA."""
_SMALL = frozenset(
    (frames.HEADERS, frames.CONTINUATION, frames.SETTINGS, frames.RST_STREAM, frames.WINDOW_UPDATE)
)
"""Frames that are looked into, besides DATA."""


class Taken:
    """A call whose data don't go to the server. `on_news` and `on_room` are called when there is
    more to take or the end, and when there may be room to send."""

    def __init__(self, number: int, may_send: int) -> None:
        self.number = number
        self.may_send = may_send
        self.incoming = Messages()
        self.ended = False
        """Nothing more comes."""
        self.answered = False
        """The server has sent headers, so that data may follow."""
        self.over = False
        """Nothing may be sent any more."""
        self.on_news: Callable[[], None] = nothing
        self.on_room: Callable[[], None] = nothing
        self.waiting = 0
        """Bytes that nobody has taken."""
        self.uncredited = 0

    def end(self, *, over: bool) -> None:
        self.ended = True
        self.over = self.over or over
        self.on_news()
        self.on_room()


class Way:
    """One direction: what may go at once, and what is held back."""

    def __init__(self) -> None:
        self.held: deque[tuple[int, bytes | memoryview]] = deque()
        self.held_bytes = 0
        self.window = frames.DEFAULT_WINDOW
        """How much DATA the receiving end allows on the connection."""
        self._ready: list[bytes | memoryview] = []
        self.amid = False
        """What was put ends where no frame of ours may stand: within another, or within a header
        block (RFC 9113, 4.3)."""
        self._waiting: list[bytes | memoryview] = []

    def set_amid(self, amid: bool) -> None:
        self.amid = amid
        if not amid:
            waiting, self._waiting = self._waiting, []
            for data in waiting:
                self.put(data)

    def put_in(self, *pieces: bytes | memoryview) -> None:
        """A frame of ours: it goes as soon as it may stand there."""
        if self.amid:
            self._waiting += pieces
            return
        for data in pieces:
            self.put(data)

    def put(self, data: bytes | memoryview, cost: int = 0) -> None:
        """A frame that passes, or a part of one; what it costs of the window, if it is DATA."""
        if not data:
            return
        if self.held or cost > self.window:
            self.held.append((cost, data))
            self.held_bytes += len(data)
        else:
            self.window -= cost
            self._ready.append(data)

    def widen(self, more: int) -> None:
        self.window += more
        while self.held and self.held[0][0] <= self.window:
            cost, data = self.held.popleft()
            self.window -= cost
            self.held_bytes -= len(data)
            self._ready.append(data)

    def take(self) -> bytes:
        data = b"".join(self._ready)
        self._ready.clear()
        return data


class Frames:
    """Takes one direction apart. `on_frame` says what is passed on of a frame, and `on_data` who
    gets what is in one of DATA; `lost` hears that there is no telling any more what comes: all is
    passed on from there."""

    def __init__(
        self,
        on_frame: Callable[[int, int, int, bytes], bytes],
        on_data: Callable[[int, int, int], Taken | None],
        way: Way,
        broken: Callable[[Taken, Code], None],
        lost: Callable[[], None],
        preface: bytes = b"",
    ) -> None:
        self._on_frame = on_frame
        self._on_data = on_data
        self._way = way
        self._broken = broken
        self._lost = lost
        self._preface = preface
        self._rest = b""
        self._left = 0
        """Bytes to come of a frame's payload that is not waited for."""
        self._into: Taken | None = None
        self._ends = False
        self._in_block = False
        """A header block has begun and is not whole."""
        self._blind = False

    def work_off(self, data: bytes) -> None:
        data, self._rest = self._rest + data, b""
        if self._preface:
            if len(data) < len(self._preface):
                self._rest = data
                return
            self._blind = not data.startswith(self._preface)
            self._preface = b""
            if not self._blind:
                self._way.put(data[: len(frames.PREFACE)])
                data = data[len(frames.PREFACE) :]
        at = 0
        while at < len(data) and not self._blind:
            begun = self._payload(data, at) if self._left else self._frame(data, at)
            if begun == at and not self._blind:
                break
            at = begun
            amid = self._in_block or (self._left > 0 and self._into is None)
            if amid is not self._way.amid:
                self._way.set_amid(amid)
        if self._blind:
            self._way.set_amid(True)
            self._lost()
            self._way.put(data[at:])
        else:
            self._rest = data[at:]

    def _payload(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        self._left -= len(piece)
        if self._into is None:
            self._way.put(piece)
            return at + len(piece)
        self._take(self._into, piece)
        if not self._left:
            self._end_data(self._into)
        return at + len(piece)

    def _take(self, taken: Taken, piece: bytes) -> None:
        if taken.over:
            return
        try:
            taken.incoming.add(piece)
        except StreamBroken as error:
            self._broken(taken, error.code)
        else:
            taken.on_news()

    def _end_data(self, taken: Taken) -> None:
        if self._ends and not taken.over:
            taken.end(over=False)
            self._way.put_in(frames.frame(frames.DATA, frames.END_STREAM, taken.number))

    def _frame(self, data: bytes, at: int) -> int:
        """A frame, or what is at hand of one; where the next begins."""
        begin = at + frames.HEAD_BYTES
        if begin > len(data):
            return at
        length_kind, flags, marked = frames.head.unpack_from(data, at)
        length: int = length_kind >> 8
        kind, number = length_kind & 0xFF, marked & 0x7FFFFFFF
        if kind == frames.DATA:
            self._into = taken = self._on_data(number, length, flags)
            self._ends = bool(flags & frames.END_STREAM)
            self._left = length
            if taken is None:
                self._way.put(data[at:begin], length)
            elif not length:
                self._end_data(taken)
            return begin
        if kind not in _SMALL:
            self._into = None
            self._left = length
            self._way.put(data[at:begin])
            return begin
        if length > FRAME_BYTES:
            self._blind = True
            return at
        if begin + length > len(data):
            return at
        if kind in (frames.HEADERS, frames.CONTINUATION):
            self._in_block = not flags & frames.END_HEADERS
        self._way.put(self._on_frame(kind, flags, number, data[at : begin + length]))
        return begin + length
