"""An HTTP/2 connection (RFC 9113), without I/O: what its two sides have in common.

What peers may make us keep is bounded: a call's window, one message, one list of headers, and
answers to frames that want one. Nothing is pushed, and priorities are nobody's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from hpack.exceptions import HPACKError

from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import HeaderBlock, unpadded
from croze.rpc.http2.frames import SMALL_BYTES, Code, ConnectionBroken
from croze.rpc.http2.headers import HeaderDecoder
from croze.rpc.http2.messages import UNAVAILABLE, StreamBroken
from croze.rpc.http2.stream import WINDOW_BYTES, Headers, Http2Stream, Pieces, nothing
from croze.rpc.http2.windows import Windows
from croze.rpc.status import status

FRAME_BYTES: Final = 64 << 10
CONNECTION_WINDOW_BYTES: Final = 32 << 20
HEADERS_LIMIT_BYTES: Final = 256 << 10
"""The most of a list that a peer sends: a call has a few, and an error some kilobytes of
details."""
PENDING_BYTES: Final = 256 << 10
"""How much waits to be written before who sends has to wait."""
CONTROL_FRAMES: Final = 16_384
"""Answers that the peer may leave unread (more than fit in one read), and idle frames in a row."""

S = TypeVar("S", bound=Http2Stream)


class Http2Connection(ABC, Generic[S]):
    """A connection from its preface on. `on_room` is called when there may be more room to send."""

    def __init__(self, settings: Mapping[int, int], headers_limit_bytes: int) -> None:
        """Begins with our `settings`, besides those that are the same on both sides."""
        self._decoder = HeaderDecoder(headers_limit_bytes)
        self._headers_limit = headers_limit_bytes
        self._streams: dict[int, S] = {}
        self._max_frame = frames.DEFAULT_FRAME
        self._windows = Windows()
        self._has_room_news = False
        self._window = CONNECTION_WINDOW_BYTES
        self._rest = b""
        self._last = 0
        """The newest of the peer's streams."""
        self._greeted = self._leaving = False
        self._block: HeaderBlock | None = None
        self._idle_frames = self._answers = 0
        self._out: list[bytes | memoryview] = []
        self.pending_bytes = 0
        self._most_pending = PENDING_BYTES
        self.on_room: Callable[[], None] = nothing
        ours = {
            frames.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
            frames.MAX_FRAME_SIZE: FRAME_BYTES,
            frames.MAX_HEADER_LIST_SIZE: headers_limit_bytes,
        }
        self._queue(
            frames.settings({**settings, **ours})
            + frames.window_update(0, CONNECTION_WINDOW_BYTES - frames.DEFAULT_WINDOW)
        )

    # -- what the sides do differently --

    @abstractmethod
    def _stream(self, number: int) -> S | None:
        """The stream of that number; None if it is over. Raises `ConnectionBroken` for one that
        never was."""

    @abstractmethod
    def _expect(self, number: int) -> None:
        """Headers of this stream begin. Raises `ConnectionBroken` if there may be none."""

    @abstractmethod
    def _on_header_list(self, number: int, headers: Headers, *, end: bool) -> None:
        """All headers of a block."""

    @abstractmethod
    def _on_end_of_data(self, stream: S) -> None:
        """The peer sends no more, and has sent no trailers."""

    @abstractmethod
    def _on_goaway(self, last: int) -> None:
        """The peer takes no streams above this one."""

    def _set_more(self, name: int, value: int) -> None:
        """A setting of the peer's that concerns one side alone."""

    # -- what goes --

    @property
    def greeted(self) -> bool:
        """Whether the peer's first SETTINGS frame has come."""
        return self._greeted

    @property
    def leaving(self) -> bool:
        """Whether no more calls may be made, since one side has sent GOAWAY."""
        return self._leaving

    def send(self, stream: S, data: memoryview, *, end: bool = False) -> int:
        """Queue what may go of messages that have their prefixes; how much that was. `end` is
        carried out with the last of it. `data` is not copied: it must not change."""
        sent = 0
        while True:
            room = min(self._windows.room(stream), self._most_pending - self.pending_bytes)
            piece = data[sent : sent + max(0, min(room, self._max_frame))]
            last = sent + len(piece) == len(data)
            if not (piece or (last and end)):
                return sent
            flags = frames.END_STREAM if last and end else 0
            self._queue(frames.head.pack(len(piece) << 8 | frames.DATA, flags, stream.number))
            self._queue(piece)
            sent += len(piece)
            self._windows.spend(stream, len(piece))
            if last:
                stream.sent_all = end
                return sent

    def take(self, stream: S) -> list[bytes]:
        """The messages that have come. The flow-control window grows by as much."""
        messages = stream.take()
        if stream.ended is None and (credit := stream.credit()):
            stream.window += credit
            self._queue(frames.window_update(stream.number, credit))
        return messages

    def outgoing(self) -> bytes:
        """What is to be written now; it leaves room for more."""
        data = b"".join(self._out)
        self._out.clear()
        self.pending_bytes = self._answers = 0
        if data:
            self._tell_room()
        return data

    def _queue(self, data: bytes | memoryview) -> None:
        self._out.append(data)
        self.pending_bytes += len(data)

    def _answer(self, data: bytes) -> None:
        self._answers += 1
        if self._answers > CONTROL_FRAMES:
            raise ConnectionBroken(Code.ENHANCE_YOUR_CALM, "too many frames that want an answer")
        self._queue(data)

    # -- what comes --

    def receive(self, data: bytes) -> None:
        """Work off what has come. Raises `ConnectionBroken`, once and for all; what tells the peer
        is in `outgoing`."""
        try:
            at = 0
            if self._rest:
                cut, at = frames.completed(self._rest, data)
                self._rest = cut[self._work_off(cut, 0) :]
            if at < len(data):
                self._rest = data[self._work_off(data, at) :]
            if self._has_room_news:  # once, however many frames were about it
                self._has_room_news = False
                self._tell_room()
        except ConnectionBroken as error:
            self._queue(frames.goaway(self._last, error.code, str(error)))
            self.close(f"{frames.INVALID}{error}")
            raise

    def _work_off(self, data: bytes, at: int) -> int:
        """All whole frames from there on; where what is left begins. Frames of DATA that follow one
        another in one stream are taken in as one: there may be one for each file of a tree."""
        size, view = len(data), memoryview(data)
        unpack, streams = frames.head.unpack_from, self._streams
        pieces: list[bytes | memoryview] = []
        of = -1
        while size - at >= frames.HEAD_BYTES:
            length_kind, flags, number = unpack(data, at)
            begin = at + frames.HEAD_BYTES
            end = begin + (length_kind >> 8)
            if end - begin > FRAME_BYTES:
                raise frames.too_long(end - begin, data, at, greeted=self._greeted)
            if end > size:
                break
            at = end
            is_data = not flags and not length_kind & 0xFF and begin != end  # DATA is 0
            if is_data and number == of:
                pieces.append(data[begin:end] if end - begin < SMALL_BYTES else view[begin:end])
                continue
            if pieces:
                self._on_pieces(of, pieces)
                pieces, of = [], -1
            if is_data and number in streams and self._block is None:
                pieces, of = [view[begin:end]], number
            else:
                self._on_frame(length_kind & 0xFF, flags, number & 0x7FFFFFFF, data[begin:end])
        if pieces:
            self._on_pieces(of, pieces)
        return at

    def _on_pieces(self, number: int, pieces: Pieces) -> None:
        size = sum(map(len, pieces))
        if size < SMALL_BYTES * len(pieces):
            pieces = (b"".join(pieces),)
        self._on_data(self._streams[number], size, size, pieces)

    def _on_data(self, stream: S, length: int, size: int, pieces: Pieces) -> None:
        """Take in a stream's data, so much in all. `length` is with the padding, which counts."""
        self._count_window(length)
        stream.window -= length
        if stream.window < 0:
            message = "more data than the stream's window allows"
            raise ConnectionBroken(Code.FLOW_CONTROL_ERROR, message)
        if not size:
            return self._count_idle()
        self._idle_frames = 0
        try:
            lent = stream.take_in(pieces)
        except StreamBroken as error:
            self._break(stream, error)
            return
        more = lent + length - size
        if more:
            stream.window += more
            self._queue(frames.window_update(stream.number, more))
        if stream.incoming.whole:
            stream.on_news()

    def _count_window(self, length: int) -> None:
        self._window -= length
        if self._window < 0:
            raise ConnectionBroken(Code.FLOW_CONTROL_ERROR, "more data than the window allows")
        if self._window < CONNECTION_WINDOW_BYTES // 2:
            self._widen_window()

    def _widen_window(self) -> None:
        self._queue(frames.window_update(0, CONNECTION_WINDOW_BYTES - self._window))
        self._window = CONNECTION_WINDOW_BYTES

    def _on_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and (kind, number) != (frames.CONTINUATION, self._block.number):
            raise ConnectionBroken(Code.PROTOCOL_ERROR, "a header block is not continued")
        if not self._greeted and (kind != frames.SETTINGS or flags & frames.ACK):
            raise ConnectionBroken(Code.PROTOCOL_ERROR, "it does not begin with SETTINGS")
        match kind:
            case frames.DATA:
                self._on_data_frame(flags, number, payload)
            case frames.HEADERS:
                self._on_headers(flags, number, payload)
            case frames.CONTINUATION:
                self._on_continuation(flags, payload)
            case frames.RST_STREAM:
                self._on_reset(number, payload)
            case frames.SETTINGS:
                self._on_settings(flags, number, payload)
            case frames.PING:
                self._on_ping(flags, number, payload)
            case frames.GOAWAY:
                self._on_goaway_frame(number, payload)
            case frames.WINDOW_UPDATE:
                self._on_window_update(number, payload)
            case frames.PUSH_PROMISE:
                raise ConnectionBroken(Code.PROTOCOL_ERROR, "nothing may be pushed")
            case _:
                self._count_idle()  # PRIORITY, and what nobody knows yet

    def _count_idle(self) -> None:
        self._idle_frames += 1
        if self._idle_frames > CONTROL_FRAMES:
            raise ConnectionBroken(Code.ENHANCE_YOUR_CALM, "too many frames that say nothing")

    def _on_data_frame(self, flags: int, number: int, payload: bytes) -> None:
        stream = self._stream(number)
        piece = unpadded(flags, payload)
        if stream is None:
            self._count_window(len(payload))
            self._count_idle()
            return
        self._on_data(stream, len(payload), len(piece), (piece,))
        if flags & frames.END_STREAM and stream.ended is None:
            self._on_end_of_data(stream)

    # -- headers --

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        self._expect(number)
        fragment = unpadded(flags, payload)
        if flags & frames.WITH_PRIORITY:
            if len(fragment) < 5:
                raise ConnectionBroken(Code.FRAME_SIZE_ERROR, "a priority that is cut off")
            fragment = fragment[5:]
        is_last = bool(flags & frames.END_STREAM)
        self._block = HeaderBlock(number, self._headers_limit, end_stream=is_last)
        self._on_continuation(flags, fragment)

    def _on_continuation(self, flags: int, fragment: bytes) -> None:
        block = self._block
        if block is None:
            raise ConnectionBroken(Code.PROTOCOL_ERROR, "there is no header block to continue")
        block.add(fragment)
        if not flags & frames.END_HEADERS:
            return
        self._block = None
        try:
            headers = self._decoder.decode(block.whole())
        except HPACKError as error:
            raise ConnectionBroken(Code.COMPRESSION_ERROR, f"headers: {error}") from None
        self._on_header_list(block.number, headers, end=block.end_stream)

    # -- the ends of streams --

    def _on_reset(self, number: int, payload: bytes) -> None:
        stream = self._stream(number)
        code = frames.number(payload)
        self._count_idle()
        if stream is not None:
            stream.on_reset(code)
            self._drop(stream)

    def _break(self, stream: S, error: StreamBroken) -> None:
        stream.end(error.status)
        self._reset(stream, error.code)

    def _reset(self, stream: S, code: Code) -> None:
        """This side has done with it. One that both sides have ended needs no frame."""
        if code is not Code.NO_ERROR or not stream.sent_all:
            self._queue(frames.rst_stream(stream.number, code))
        self._drop(stream)

    def _drop(self, stream: S) -> None:
        if self._streams.pop(stream.number, None) is not None:
            self.on_room()

    def _on_goaway_frame(self, number: int, payload: bytes) -> None:
        if number or len(payload) < 8:
            raise ConnectionBroken(Code.FRAME_SIZE_ERROR, "a GOAWAY that is none")
        self._count_idle()
        self._on_goaway(frames.word.unpack_from(payload)[0] & 0x7FFFFFFF)

    def close(self, why: str) -> None:
        """End all calls: there is no connection any more."""
        self._leaving = True
        for stream in list(self._streams.values()):
            stream.end(status(UNAVAILABLE, why))
        self._streams.clear()
        self.on_room()

    # -- the connection --

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionBroken(Code.PROTOCOL_ERROR, "SETTINGS of a stream")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise ConnectionBroken(Code.FRAME_SIZE_ERROR, "SETTINGS that are cut off")
        if flags & frames.ACK:
            self._count_idle()
            return
        self._greeted = True
        for at in range(0, len(payload), 6):
            self._set(*frames.setting.unpack_from(payload, at))
        self._answer(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._has_room_news = True

    def _set(self, name: int, value: int) -> None:
        match name:
            case frames.INITIAL_WINDOW_SIZE:
                self._windows.set_each(value, self._streams.values())
            case frames.MAX_FRAME_SIZE:
                if not frames.DEFAULT_FRAME <= value <= frames.LARGEST_FRAME:
                    raise ConnectionBroken(Code.PROTOCOL_ERROR, f"frames of {value} bytes")
                self._max_frame = min(value, FRAME_BYTES)
            case _:
                self._set_more(name, value)

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number or len(payload) != 8:
            raise ConnectionBroken(Code.FRAME_SIZE_ERROR, "a PING that is none")
        if not flags & frames.ACK:
            self._answer(frames.frame(frames.PING, frames.ACK, 0, payload))
        else:
            self._count_idle()

    def _on_window_update(self, number: int, payload: bytes) -> None:
        more = frames.number(payload) & 0x7FFFFFFF
        if not more:
            raise ConnectionBroken(Code.PROTOCOL_ERROR, "a window that grows by nothing")
        if number == 0:
            self._windows.widen_all(more)
            self._has_room_news = True
        elif (stream := self._stream(number)) is not None:
            self._windows.widen(stream, more)
            stream.on_room()

    def _tell_room(self) -> None:
        self.on_room()
        for stream in list(self._streams.values()):
            stream.on_room()
