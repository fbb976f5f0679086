"""The client's side of an HTTP/2 connection, and its calls.

Source: gRPC over HTTP/2 (grpc/grpc `doc/PROTOCOL-HTTP2.md`).
"""

from __future__ import annotations

import base64
import binascii
from typing import Final
from urllib.parse import unquote

from google.protobuf.message import DecodeError

from croze.gotypes.quote import quote
from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import NO_TABLE, header_block, header_frames
from croze.rpc.http2.connection import HEADERS_LIMIT_BYTES, Http2Connection
from croze.rpc.http2.frames import Code, ConnectionBroken
from croze.rpc.http2.messages import (
    CANCELLED,
    INTERNAL,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    UNKNOWN,
    StreamBroken,
)
from croze.rpc.http2.stream import Headers, Http2Stream, Pieces
from croze.rpc.status import DETAILS_KEY, RpcStatus, status

STREAMS_UNTOLD: Final = 100
"""How many calls at once, before the peer has said what it takes; who then says nothing takes any
number."""
DRAINING: Final = "the connection is draining"
"""What is said of calls that the peer has not looked at when it left."""
_ANY_NUMBER: Final = 1 << 32
_FOREIGN_BYTES: Final = 1024
"""How much is told of an answer that is no gRPC."""

_CODES = {code.value: code for code in Code}
_OF_RESETS = {
    Code.REFUSED_STREAM: UNAVAILABLE,
    Code.CANCEL: CANCELLED,
    Code.FLOW_CONTROL_ERROR: RESOURCE_EXHAUSTED,
    Code.ENHANCE_YOUR_CALM: RESOURCE_EXHAUSTED,
    Code.INADEQUATE_SECURITY: PERMISSION_DENIED,
}
_OF_ANSWERS = {
    "400": INTERNAL,
    "401": UNAUTHENTICATED,
    "403": PERMISSION_DENIED,
    "404": UNIMPLEMENTED,
    "429": UNAVAILABLE,
    "502": UNAVAILABLE,
    "503": UNAVAILABLE,
    "504": UNAVAILABLE,
}


class ClientStream(Http2Stream):
    """The stream of a call that this side has made."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.headers: Headers | None = None
        """The headers of the answer, once it has begun."""
        self.is_unseen = False
        """It has ended without anybody having looked at it: the same may be asked again."""
        self._foreign: _Foreign | None = None

    def take_in(self, pieces: Pieces) -> int:
        """See `Http2Stream.take_in`."""
        if self._foreign is not None:
            if any(map(self._foreign.is_whole_with, pieces)):
                raise self._foreign.refusal()
            return sum(map(len, pieces))
        if self.headers is None:
            raise StreamBroken(Code.PROTOCOL_ERROR, status(INTERNAL, "data before headers"))
        return super().take_in(pieces)

    def on_headers(self, headers: Headers, *, end: bool) -> None:
        """Headers or, if they end the stream, trailers. Raises `StreamBroken`."""
        if self._foreign is not None:
            if end:
                raise self._foreign.refusal()
            return
        by_name = dict(headers)
        if self.headers is not None:
            if not end:
                message = "a HEADERS frame cannot appear in the middle of a stream"
                raise StreamBroken(Code.PROTOCOL_ERROR, status(INTERNAL, message))
            self.end(status_of(by_name))
        elif not _is_grpc(by_name.get("content-type", "")):
            self._on_foreign(by_name, end=end)
        else:
            self.headers = headers
            self.incoming.encoding = by_name.get("grpc-encoding", "")
            if end:
                self.end(status_of(by_name))
            else:
                self.on_news()

    def _on_foreign(self, headers: dict[str, str], *, end: bool) -> None:
        """An answer of somebody who does not speak gRPC, such as a proxy."""
        if headers.get(":status", "").startswith("1") and not end:
            return  # it only says that it is there
        foreign = _Foreign(headers)
        if end:
            raise foreign.refusal()
        self._foreign = foreign

    def on_end_of_data(self) -> None:
        if self._foreign is not None:
            self.end(self._foreign.refusal().status)
        else:
            self.end(status(INTERNAL, "server closed the stream without sending trailers"))

    def on_reset(self, code: int) -> None:
        """The server has given the call up, with this code (RFC 9113, section 7; gRPC over HTTP2,
        Errors)."""
        known_code = _CODES.get(code)
        name = f"unknown error code 0x{code:x}" if known_code is None else known_code.name
        message = f"stream terminated by RST_STREAM with error code: {name}"
        self.is_unseen = known_code is Code.REFUSED_STREAM and self.headers is None
        number = UNKNOWN if known_code is None else _OF_RESETS.get(known_code, INTERNAL)
        self.end(status(number, message))


class _Foreign:
    """An answer that is no gRPC, and the beginning of what it says: mostly that tells why."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers
        self._data = b""

    def is_whole_with(self, piece: bytes | memoryview) -> bool:
        """Whether there is enough of it with this piece."""
        self._data = (self._data + bytes(piece[:_FOREIGN_BYTES]))[:_FOREIGN_BYTES]
        return len(self._data) == _FOREIGN_BYTES

    def refusal(self) -> StreamBroken:
        code = self._headers.get(":status", "")
        message = "malformed header: missing HTTP status"
        if code:
            message = f"unexpected HTTP status code received from server: {code} ({_phrase(code)})"
        kind = self._headers.get("content-type")
        if kind is None:
            message += "; malformed header: missing HTTP content-type"
        else:
            message += f"; transport: received unexpected content-type {quote(kind)}"
        if self._data:
            message += f"\ndata: {quote(self._data.decode(errors='surrogateescape'))}"
        number = _OF_ANSWERS.get(code, UNKNOWN) if code else INTERNAL
        return StreamBroken(Code.PROTOCOL_ERROR, status(number, message))


def _phrase(code: str) -> str:
    from http import HTTPStatus  # hardly ever wanted

    try:
        return HTTPStatus(int(code)).phrase
    except ValueError:
        return ""


def _is_grpc(content_type: str) -> bool:
    name = "application/grpc"
    return content_type.startswith(name) and content_type[len(name) : len(name) + 1] in "+;"


class ClientConnection(Http2Connection[ClientStream]):
    """The client's side of a connection. `on_room` also tells that a call may be opened."""

    def __init__(self, headers_limit_bytes: int = HEADERS_LIMIT_BYTES, unmet: str = "") -> None:
        """`unmet` begins what calls are told of a peer that has never said what it speaks."""
        super().__init__({frames.ENABLE_PUSH: 0}, headers_limit_bytes)
        self._out.insert(0, frames.PREFACE)
        self.pending_bytes += len(frames.PREFACE)
        self._unmet = unmet
        self._next = 1
        self._max_streams = STREAMS_UNTOLD
        self.of_crozed = False
        """The peer has said that it is a `crozed`."""
        self._table_update = b""

    @property
    def has_room(self) -> bool:
        """Whether the peer's limit of concurrent streams allows one more call."""
        return len(self._streams) < self._max_streams

    @property
    def is_done(self) -> bool:
        """Whether no call is open and none may be opened: the connection can be closed."""
        return self._leaving and not self._streams

    def open(self, headers: Headers) -> ClientStream:
        """Begin a call; `has_room` must be true."""
        number, self._next = self._next, self._next + 2
        block, self._table_update = self._table_update + header_block(headers), b""
        self._queue(header_frames(number, block, self._max_frame))
        self._idle_frames = 0
        stream = self._streams[number] = ClientStream(number)
        return stream

    def close(self, why: str) -> None:
        """See `Connection.close`."""
        super().close(f"{self._unmet}{why}" if self._unmet and not self._greeted else why)

    def forget(self, stream: ClientStream) -> None:
        """Reset the call's stream, unless it has ended: nobody waits for the answer."""
        if self._streams.get(stream.number) is stream:
            stream.end(status(CANCELLED, "context canceled"))
            self._reset(stream, Code.CANCEL)

    def _stream(self, number: int) -> ClientStream | None:
        if number % 2 == 0 or number >= self._next:
            raise ConnectionBroken(Code.PROTOCOL_ERROR, f"stream {number} is not open")
        return self._streams.get(number)

    def _expect(self, number: int) -> None:
        self._stream(number)

    def _on_header_list(self, number: int, headers: Headers, *, end: bool) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        self._count_idle()
        try:
            stream.on_headers(headers, end=end)
        except StreamBroken as error:
            self._break(stream, error)
            return
        if stream.ended is not None:
            self._reset(stream, Code.NO_ERROR)

    def _on_end_of_data(self, stream: ClientStream) -> None:
        stream.on_end_of_data()
        self._reset(stream, Code.NO_ERROR)

    def _on_goaway(self, last: int) -> None:
        self._leaving = True
        for stream in [each for each in self._streams.values() if each.number > last]:
            stream.is_unseen = stream.headers is None
            stream.end(status(UNAVAILABLE, DRAINING))
            self._drop(stream)
        self.on_room()

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if not self._greeted:
            self._max_streams = _ANY_NUMBER
        super()._on_settings(flags, number, payload)

    def _set_more(self, name: int, value: int) -> None:
        match name:
            case frames.ENABLE_PUSH if value:
                raise ConnectionBroken(Code.PROTOCOL_ERROR, "a server that would be pushed to")
            case frames.MAX_CONCURRENT_STREAMS:
                self._max_streams = value
            case frames.CROZED:
                self.of_crozed = True
            case frames.HEADER_TABLE_SIZE if value < frames.DEFAULT_TABLE:
                self._table_update = NO_TABLE


def status_of(trailers: dict[str, str]) -> RpcStatus:
    """The status that trailers tell of; its details are worth more than its own words."""
    code = trailers.get("grpc-status", "")
    if not code:
        return status(INTERNAL, "server closed the stream without sending trailers")
    number = int(code) if code.isascii() and code.isdecimal() and len(code) <= 2 else UNKNOWN
    message = unquote(trailers.get("grpc-message", ""), errors="replace")
    details = trailers.get(DETAILS_KEY)
    if details is None:
        return status(number, message)
    try:
        value = base64.b64decode(details + "=" * (-len(details) % 4), validate=True)
        detailed = status(number)
        detailed.ParseFromString(value)
    except (binascii.Error, ValueError, DecodeError):
        return status(number, message)
    if detailed.code != number:
        message = f"grpc-status={number}, grpc-message={quote(message)}"
        return status(INTERNAL, f"{DETAILS_KEY} mismatch: {message}")
    return detailed
