"""One gRPC call of this side on an HTTP/2 connection, without I/O.

Source: gRPC over HTTP/2 (grpc/grpc `doc/PROTOCOL-HTTP2.md`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import unquote

from google.protobuf.message import DecodeError
from google.rpc import status_pb2  # type: ignore[import-untyped]

from croze.rpc.http2.frames import Code
from croze.rpc.http2.messages import (
    CANCELLED,
    INTERNAL,
    OK,
    PERMISSION_DENIED,
    PREFIX_BYTES,
    RESOURCE_EXHAUSTED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    UNKNOWN,
    Messages,
    StreamBroken,
)
from croze.rpc.status import DETAILS_KEY, status

WINDOW_BYTES: Final = 4 << 20
"""What a peer may send of a call before somebody takes it."""

_CODES = {code.value: code for code in Code}
_OF_RESETS = {
    Code.REFUSED_STREAM: UNAVAILABLE,
    Code.CANCEL: CANCELLED,
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

Headers = Sequence[tuple[str, str]]


def nothing() -> None:
    """Nobody waits."""


class Stream:
    """What has come and what may go. `on_news` and `on_room` are called when there is more to take
    or the end, and when there may be room to send."""

    def __init__(self, number: int, may_send: int) -> None:
        self.number = number
        self.may_send = may_send
        self.window = WINDOW_BYTES
        self.incoming = Messages()
        self.ended: status_pb2.Status | None = None
        self.sent_all = False
        self.on_news: Callable[[], None] = nothing
        self.on_room: Callable[[], None] = nothing
        self._answered = False
        self._loan = 0
        self._taken_bytes = 0

    # -- what comes --

    def take_in(self, piece: bytes) -> int:
        """Some of the messages' bytes; how much more than the window the peer may send now, for a
        message that does not fit. Raises `StreamBroken`."""
        if not self._answered:
            raise StreamBroken(Code.PROTOCOL_ERROR, status(INTERNAL, "data before headers"))
        length = self.incoming.add(piece)
        return self._lend(length) if length else 0

    def _lend(self, length: int) -> int:
        """Of a message that is too large to wait for the rest of it in the window."""
        if length <= WINDOW_BYTES // 2:
            return 0
        self._loan += length
        return length

    def take(self) -> list[bytes]:
        """All messages that are there."""
        taken = self.incoming.take()
        self._taken_bytes += sum(map(len, taken)) + PREFIX_BYTES * len(taken)
        paid = min(self._loan, self._taken_bytes)
        self._loan -= paid
        self._taken_bytes -= paid
        return taken

    def credit(self) -> int:
        """How much may come for what was taken: nothing until that is worth a frame."""
        if self._taken_bytes < WINDOW_BYTES // 2:
            return 0
        credit, self._taken_bytes = self._taken_bytes, 0
        return credit

    def on_headers(self, headers: Headers, *, end: bool) -> None:
        """Headers or, if they end the stream, trailers. Raises `StreamBroken`."""
        found = dict(headers)
        if self._answered:
            if not end:
                raise StreamBroken(
                    Code.PROTOCOL_ERROR, status(INTERNAL, "more headers amid the answer")
                )
            self.end(status_of(found))
            return
        code = found.get(":status", "")
        if code.startswith("1") and not end:
            return
        self._answered = True
        if "grpc-status" in found and end:
            self.end(status_of(found))
        elif code != "200" or not found.get("content-type", "").startswith("application/grpc"):
            kind = found.get("content-type", "")
            told = f"unexpected HTTP status code {code!r} and content type {kind!r}"
            raise StreamBroken(Code.CANCEL, status(_OF_ANSWERS.get(code, UNKNOWN), told))
        elif end:
            self.end(status_of(found))

    def on_end_of_data(self) -> None:
        self.end(status(INTERNAL, "server closed the stream without sending trailers"))

    def on_reset(self, code: int) -> None:
        known = _CODES.get(code)
        name = known.name if known is not None else str(code)
        told = f"stream terminated by RST_STREAM with error code: {name}"
        self.end(status(_OF_RESETS.get(known, INTERNAL) if known is not None else UNKNOWN, told))

    def end(self, with_status: status_pb2.Status) -> None:
        """Nothing comes and nothing goes any more. The first end counts."""
        if self.ended is None:
            cut = with_status.code == OK and self.incoming.is_cut
            self.ended = status(INTERNAL, "unexpected EOF") if cut else with_status
            self.incoming.is_over()
            self.on_news()
            self.on_room()


def status_of(trailers: dict[str, str]) -> status_pb2.Status:
    """The status that trailers tell of; its details are worth more than its own words."""
    code = trailers.get("grpc-status", "")
    if not code:
        return status(INTERNAL, "server closed the stream without sending trailers")
    known = int(code) if code.isascii() and code.isdecimal() and len(code) <= 2 else UNKNOWN
    found = status(known, unquote(trailers.get("grpc-message", ""), errors="replace"))
    details = trailers.get(DETAILS_KEY)
    if details is None:
        return found
    try:
        value = base64.b64decode(details + "=" * (-len(details) % 4), validate=True)
        detailed = status_pb2.Status.FromString(value)
    except (binascii.Error, ValueError, DecodeError):
        return found
    return detailed
