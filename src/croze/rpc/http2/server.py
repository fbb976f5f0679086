"""The server's side of an HTTP/2 connection, and the calls that come on it.

Source: gRPC over HTTP/2 (grpc/grpc `doc/PROTOCOL-HTTP2.md`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from croze.patterns import lazy_pattern
from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import header_block, header_frames
from croze.rpc.http2.connection import (
    CONNECTION_WINDOW_BYTES,
    HEADERS_LIMIT_BYTES,
    PENDING_BYTES,
    Http2Connection,
)
from croze.rpc.http2.frames import Code, ConnectionBroken
from croze.rpc.http2.messages import (
    CANCELLED,
    ENCODINGS,
    PREFIX_BYTES,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    StreamBroken,
    no_decompressor,
)
from croze.rpc.http2.stream import Headers, Http2Stream, Pieces, nothing
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.status import RpcStatus, status

STREAMS: Final = 4096
"""Calls at once on a connection."""
UNREAD_BYTES: Final = 256 << 20
"""How much of messages that are not whole yet: sixteen of the largest."""
HEADERS_BYTES: Final = 16 << 20
"""How much of headers of calls that are under way, where eight of the largest lists are not more:
a header that has come before comes again as a byte."""
ANSWERS_BYTES: Final = 4 << 20
"""How much of answers to calls that are over as soon as they begin. Who sends more has to wait."""

_ANSWER: Final = ((":status", "200"), ("content-type", "application/grpc"))
_ANSWER_BLOCK: Final = header_block(_ANSWER)
_WELL_BLOCK: Final = header_block((("grpc-status", "0"),))
_PAIR_BYTES: Final = 160
"""What a header takes besides its text."""
_CUT_ESCAPE: Final = lazy_pattern("%.?$")
_SAFE = frozenset(range(0x20, 0x7F)) - {ord("%")}


class Allowance:
    """How many bytes of messages that wait until somebody takes them, and of headers of calls under
    way, on one connection, or on several together."""

    def __init__(self, most_bytes: int = UNREAD_BYTES) -> None:
        self.most_bytes = most_bytes
        self.used_bytes = 0

    @property
    def is_exceeded(self) -> bool:
        return self.used_bytes > self.most_bytes


class ServerStream(Http2Stream):
    """A call of the peer's. `on_cancel` is called when the peer wants no answer any more."""

    def __init__(self, number: int, headers: Headers) -> None:
        super().__init__(number)
        self.headers = headers
        self.heard_all = False
        """The peer sends nothing more."""
        self.answered = False
        self.unread_bytes = 0
        self.headers_bytes = sum(len(key) + len(value) + _PAIR_BYTES for key, value in headers)
        self.on_cancel: Callable[[], object] = nothing

    def on_reset(self, code: int) -> None:
        """See `Http2Stream.on_reset`."""
        self.end(status(CANCELLED, "context canceled"))

    def end(self, with_status: RpcStatus) -> None:
        """See `Http2Stream.end`."""
        if self.ended is None:
            super().end(with_status)
            self.on_cancel()


class ServerConnection(Http2Connection[ServerStream]):
    """The server's side of a connection. `on_call` is called for each call that begins, once its
    headers are there."""

    def __init__(
        self,
        on_call: Callable[[ServerStream], None],
        *,
        streams: int = STREAMS,
        headers_limit_bytes: int = HEADERS_LIMIT_BYTES,
        message_limit_bytes: int = MESSAGE_LIMIT_BYTES,
        allowance: Allowance | None = None,
        is_crozed: bool = False,
    ) -> None:
        """`streams` calls at once. Without an `allowance` the connection has one of its own. One of
        a `crozed` says so."""
        ours = {frames.MAX_CONCURRENT_STREAMS: streams, **({frames.CROZED: 1} if is_crozed else {})}
        super().__init__(ours, headers_limit_bytes)
        self._most_pending = 2 * PENDING_BYTES  # all that waits in a tunnel goes through at once
        self._on_call = on_call
        self._most = streams
        self._most_headers: int | None = None
        """How many bytes of a list of headers the peer takes; it may not say. grpcio refuses some
        lists of more than half as much."""
        self._message_limit = message_limit_bytes
        self._begun = False
        self._unread = 0
        """Bytes of calls that nobody has taken."""
        self._headers_bytes = 0
        self._most_headers_bytes = max(HEADERS_BYTES, 8 * headers_limit_bytes)
        self._whole: set[int] = set()
        """The calls that have something to take."""
        self._allowance = allowance or Allowance()

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be written that nothing more should be added."""
        return self.pending_bytes >= self._most_pending

    # -- what goes --

    def answer(self, stream: ServerStream, more: Headers = ()) -> None:
        """The headers of an answer, with some `more`, unless they have gone."""
        if not stream.answered and stream.ended is None:
            stream.answered = True
            block = _ANSWER_BLOCK + header_block(more) if more else _ANSWER_BLOCK
            self._queue(header_frames(stream.number, block, self._max_frame))

    def finish(self, stream: ServerStream, outcome: RpcStatus, more: Headers = ()) -> None:
        """End a call, if it has not ended, with a status and `more` trailers."""
        if self._streams.get(stream.number) is not stream:
            return
        block = b"" if stream.answered else _ANSWER_BLOCK
        if outcome.code or more:
            room = None
            if self._most_headers is not None:
                room = self._most_headers // 2 - (0 if stream.answered else _size(_ANSWER))
            block += header_block(_fitting(trailers_of(outcome), more, room))
        else:
            block += _WELL_BLOCK
        self._queue(header_frames(stream.number, block, self._max_frame, end_stream=True))
        stream.sent_all = stream.heard_all
        stream.on_cancel = nothing
        stream.end(outcome)
        self._idle_frames = 0
        self._reset(stream, Code.NO_ERROR)

    def refuse(self, stream: ServerStream) -> None:
        """A call that nothing has been done for: the peer may try again."""
        self._answer(frames.rst_stream(stream.number, Code.REFUSED_STREAM))
        self._drop(stream)

    def go_away(self) -> None:
        """Take no more calls; those that have begun go on."""
        if not self._leaving:
            self._leaving = True
            self._queue(frames.goaway(self._last, Code.NO_ERROR, "the server is shutting down"))

    def take(self, stream: ServerStream) -> list[bytes]:
        """See `Http2Connection.take`."""
        messages = super().take(stream)
        self._whole.discard(stream.number)
        self._forget_unread(stream, sum(map(len, messages)) + PREFIX_BYTES * len(messages))
        return messages

    def close(self, why: str) -> None:
        """See `Http2Connection.close`."""
        for stream in self._streams.values():
            self._forget_unread(stream, stream.unread_bytes)
            self._forget_headers(stream)
        super().close(why)

    # -- what comes --

    def _set_more(self, name: int, value: int) -> None:
        if name == frames.MAX_HEADER_LIST_SIZE:
            self._most_headers = value

    def _work_off(self, data: bytes, at: int) -> int:
        if self._begun:
            return super()._work_off(data, at)
        if not frames.PREFACE.startswith(data[: len(frames.PREFACE)]):
            raise ConnectionBroken(Code.PROTOCOL_ERROR, "it does not begin with the preface")
        if len(data) < len(frames.PREFACE):
            return 0
        self._begun = True
        return super()._work_off(data, len(frames.PREFACE))

    def _on_data(self, stream: ServerStream, length: int, size: int, pieces: Pieces) -> None:
        self._unread += size
        self._allowance.used_bytes += size
        stream.unread_bytes += size
        super()._on_data(stream, length, size, pieces)
        if stream.incoming.whole and stream.ended is None:
            self._whole.add(stream.number)
        if self._allowance.is_exceeded and stream.number in self._streams:
            failure = status(RESOURCE_EXHAUSTED, "too many large messages at once on a connection")
            self._break(stream, StreamBroken(Code.ENHANCE_YOUR_CALM, failure))

    def _widen_window(self) -> None:
        # Who takes nothing holds up its peer, not only its call: there may be thousands of them.
        # But nobody can take what has not come whole, and the rest of it has to have room.
        if self._unread < CONNECTION_WINDOW_BYTES or not self._whole:
            super()._widen_window()

    def _forget_unread(self, stream: ServerStream, size: int) -> None:
        """Once: of what is taken from a call that is over, that was when it ended."""
        size = min(size, stream.unread_bytes)
        stream.unread_bytes -= size
        self._allowance.used_bytes -= size
        self._unread -= size
        if self._window < CONNECTION_WINDOW_BYTES // 2:
            self._widen_window()

    def _drop(self, stream: ServerStream) -> None:
        self._whole.discard(stream.number)
        if stream.number in self._streams:
            self._forget_unread(stream, stream.unread_bytes)
            self._forget_headers(stream)
        super()._drop(stream)

    def _stream(self, number: int) -> ServerStream | None:
        if number % 2 == 0 or number > self._last:
            raise ConnectionBroken(Code.PROTOCOL_ERROR, f"stream {number} is not open")
        return self._streams.get(number)

    def _expect(self, number: int) -> None:
        if number % 2 == 0:
            raise ConnectionBroken(Code.PROTOCOL_ERROR, f"stream {number} is not a client's")
        if number <= self._last and number not in self._streams:
            raise ConnectionBroken(Code.STREAM_CLOSED, f"headers of stream {number}, which is over")

    def _on_header_list(self, number: int, headers: Headers, *, end: bool) -> None:
        self._count_idle()
        stream = self._streams.get(number)
        if stream is not None:
            if not end:
                raise ConnectionBroken(Code.PROTOCOL_ERROR, "trailers that end nothing")
            self._on_end_of_data(stream)
            return
        self._last = number
        if self.pending_bytes > self._most_pending + ANSWERS_BYTES:
            raise ConnectionBroken(Code.ENHANCE_YOUR_CALM, "too many answers that nobody reads")
        if self._leaving or len(self._streams) >= self._most:
            self._answer(frames.rst_stream(number, Code.REFUSED_STREAM))
            return
        stream = self._streams[number] = ServerStream(number, headers)
        self._headers_bytes += stream.headers_bytes
        self._allowance.used_bytes += stream.headers_bytes
        stream.heard_all = end
        stream.incoming.limit_bytes = self._message_limit
        stream.incoming.encoding = dict(headers).get("grpc-encoding", "")
        if refusal := _refusal(headers):
            block = header_block(((":status", refusal), ("content-length", "0")))
            self._answer(header_frames(number, block, self._max_frame, end_stream=True))
            stream.sent_all = end
            self._reset(stream, Code.NO_ERROR)
        elif (encoding := stream.incoming.encoding) not in ("", "identity", *ENCODINGS):
            self.finish(stream, status(UNIMPLEMENTED, no_decompressor(encoding)))
        elif self._headers_bytes > self._most_headers_bytes or self._allowance.is_exceeded:
            outcome = status(RESOURCE_EXHAUSTED, "too many headers at once on a connection")
            self._break(stream, StreamBroken(Code.ENHANCE_YOUR_CALM, outcome))
        else:
            self._on_call(stream)

    def _forget_headers(self, stream: ServerStream) -> None:
        """What the headers of a call that is over took is free. Idempotent."""
        size, stream.headers_bytes = stream.headers_bytes, 0
        self._headers_bytes -= size
        self._allowance.used_bytes -= size

    def _on_end_of_data(self, stream: ServerStream) -> None:
        stream.heard_all = True
        stream.on_news()

    def _break(self, stream: ServerStream, error: StreamBroken) -> None:
        """The call's handler is ended, and the peer told why."""
        outcome = error.status
        stream.on_cancel()
        self.finish(stream, outcome)

    def _on_goaway(self, last: int) -> None:
        """A peer's GOAWAY is about our calls, of which there are none."""


def _refusal(headers: Headers) -> str:
    """The HTTP status for what is no call of gRPC; empty for what is one."""
    by_name = dict(headers)
    if by_name.get(":method") != "POST" or not by_name.get(":path"):
        return "405"
    return "" if by_name.get("content-type", "").startswith("application/grpc") else "415"


def trailers_of(outcome: RpcStatus) -> Headers:
    """A status as trailers, without its details."""
    headers = [("grpc-status", str(outcome.code))]
    if outcome.message:
        headers.append(("grpc-message", _percent(outcome.message)))
    return headers


def _fitting(status: Headers, more: Headers, room: int | None) -> Headers:
    """The trailers, of which a peer takes so many bytes. Who gets more sees no status at all; so
    the largest of `more`, which are details, are left out, and then the end of the message."""
    if room is None or _size((*status, *more)) <= room:
        return (*status, *more)
    trailers = sorted(more, key=lambda header: len(header[1]))
    while trailers and _size((*status, *trailers)) > room:
        trailers.pop()
    code, *rest = status
    if rest and (excess := _size((*status, *trailers)) - room) > 0:
        name, message = rest[0]
        rest = [(name, _CUT_ESCAPE.sub("", message[: max(0, len(message) - excess)]))]
    return (code, *rest, *trailers)


def _size(headers: Headers) -> int:
    """How long a list of headers is, in bytes as peers count them (RFC 9113, 6.5.2)."""
    return sum(len(name) + len(value) + 32 for name, value in headers)


def _percent(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if all(map(_SAFE.__contains__, data)):
        return text
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in data)


def encoded(key: str, value: str | bytes) -> tuple[str, str]:
    """A header of gRPC's, whose binary values travel as base64."""
    if isinstance(value, bytes):
        return key, base64.b64encode(value).decode().rstrip("=")
    return key, value
