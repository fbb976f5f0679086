"""gRPC's messages in the data of a stream: each has a flag and its length in front."""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Iterable
from typing import Final

from croze.gotypes.quote import quote
from croze.rpc.http2.frames import DEFAULT_FRAME, Code
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.status import RpcStatus, status

PREFIX_BYTES: Final = 5
prefix: Final = struct.Struct(">BI")
"""Whether it is compressed, and its length."""

OK, CANCELLED, UNKNOWN, RESOURCE_EXHAUSTED = 0, 1, 2, 8
PERMISSION_DENIED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 7, 12, 13, 14, 16


ENCODINGS: Final = frozenset(("gzip", "deflate"))
"""How peers may compress what they send."""
_ANY_ZLIB: Final = 32 + zlib.MAX_WBITS


class StreamBroken(Exception):
    """The peer has broken the protocol for one stream alone (RFC 9113, 5.4.2). `status` is what the
    call ends with."""

    def __init__(self, code: Code, status: RpcStatus) -> None:
        super().__init__(status.message)
        self.code = code
        self.status = status


def prefixed(*messages: bytes) -> bytes:
    """Messages with their prefixes, none of them compressed."""
    pieces = []
    for message in messages:
        pieces.append(prefix.pack(0, len(message)))
        pieces.append(message)
    return b"".join(pieces)


def no_decompressor(encoding: str) -> str:
    """What is said of an encoding that nobody knows here."""
    return f"grpc: Decompressor is not installed for grpc-encoding {quote(encoding)}"


def prefixed_pieces(first: bytes, *others: bytes | memoryview) -> tuple[bytes | memoryview, ...]:
    """One message, not compressed, that is in pieces. Of a large one only the first is copied,
    which should be short; a small one is put together, as each piece goes in a frame of its own."""
    size = len(first) + sum(map(len, others))
    if size < DEFAULT_FRAME:
        return (b"".join((prefix.pack(0, size), first, *others)),)
    return prefix.pack(0, size) + first, *others


class Packed(bytes):
    """A message that is compressed."""

    def inflated(self, limit_bytes: int = MESSAGE_LIMIT_BYTES) -> bytes:
        """The message, decompressed to at most `limit_bytes`. Raises `StreamBroken`."""
        inflating = zlib.decompressobj(_ANY_ZLIB)
        try:
            data = inflating.decompress(self, limit_bytes + 1)
        except zlib.error as error:
            message = f"grpc: failed to decompress the received message: {error}"
            raise StreamBroken(Code.CANCEL, status(INTERNAL, message)) from None
        if len(data) > limit_bytes:
            message = f"grpc: received message after decompression larger than max {limit_bytes}"
            raise StreamBroken(Code.CANCEL, status(RESOURCE_EXHAUSTED, message))
        return data


class Unpacking:
    """Messages of which some are compressed, unpacked little by little: a few kilobytes may stand
    for megabytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.waiting: deque[bytes] = deque()

    def unpacked(self, more: Iterable[bytes]) -> list[bytes]:
        """Messages: at least one of those that wait and of `more`, and as many as one may be large.
        Raises `StreamBroken`."""
        self.waiting.extend(more)
        messages: list[bytes] = []
        remaining_bytes = self._limit_bytes
        while self.waiting and remaining_bytes > 0:
            message = self.waiting.popleft()
            if isinstance(message, Packed):
                message = message.inflated(self._limit_bytes)
            messages.append(message)
            remaining_bytes -= len(message)
        return messages


class Messages:
    """Puts together what comes in pieces. Of an `encoding` that is known, some may be `Packed`."""

    def __init__(self) -> None:
        self.limit_bytes = MESSAGE_LIMIT_BYTES
        """The largest message."""
        self.encoding = ""
        self.whole: list[bytes] = []
        self._prefix = b""
        """The beginning of a prefix."""
        self._flag = 0
        self._partial = bytearray()
        """What had come of a message, before the pieces that are being taken in."""
        self._parts: list[bytes | memoryview] = []
        """What has come of it with these."""
        self._missing = 0

    @property
    def may_be_packed(self) -> bool:
        return self.encoding in ENCODINGS

    @property
    def is_cut(self) -> bool:
        """Whether the last message is incomplete."""
        return bool(self._prefix or self._missing)

    def add(self, pieces: Iterable[bytes | memoryview]) -> int:
        """How long the message is that has begun with these pieces and is not whole, if there is
        one. A message that lies in several of them is put together from where its parts are.
        Raises `StreamBroken`."""
        begun = 0
        unpack, limit, whole = prefix.unpack_from, self.limit_bytes, self.whole.append
        for piece in pieces:
            size = len(piece) - PREFIX_BYTES
            if size >= 0 and not (self._missing or self._prefix):
                flag, length = unpack(piece)
                if length == size <= limit and not flag:  # one message, as nearly all frames are
                    whole(bytes(piece[PREFIX_BYTES:]))
                    continue
            if self._missing:
                piece = self._complete(piece)
                if self._missing:
                    continue
                begun = 0
            if self._prefix:
                piece, self._prefix = b"".join((self._prefix, piece)), b""
            begun = self._begin(piece) or begun
        for part in self._parts:  # they lie in more than is kept
            self._partial += part
        self._parts.clear()
        return begun

    def _begin(self, piece: bytes | memoryview) -> int:
        """The messages from the beginning of the piece on: how long the last is, if it is cut."""
        at, size, unpack, limit = 0, len(piece), prefix.unpack_from, self.limit_bytes
        add = self.whole.append
        while size - at >= PREFIX_BYTES:
            begin = at + PREFIX_BYTES
            flag, length = unpack(piece, at)
            if flag or length > limit:
                self._check(flag, length)
            at = begin + length
            message = piece[begin:at]
            if at > size:
                self._parts.append(message)
                self._flag, self._missing = flag, at - size
                return int(length)
            if flag:
                add(Packed(message))
            else:
                add(message if isinstance(message, bytes) else bytes(message))
        self._prefix = bytes(piece[at:])
        return 0

    def _complete(self, piece: bytes | memoryview) -> bytes | memoryview:
        """The message that was cut off goes on: what is behind it in this piece."""
        at = min(self._missing, len(piece))
        self._parts.append(piece[:at])
        self._missing -= at
        if not self._missing:
            message = b"".join((self._partial, *self._parts))
            self.whole.append(Packed(message) if self._flag else message)
            self._parts.clear()
            self._partial = bytearray()
        return piece[at:]

    def _check(self, flag: int, length: int) -> None:
        if length > self.limit_bytes or (flag and not (flag == 1 and self.may_be_packed)):
            raise self._refused(flag, length)

    def take(self) -> list[bytes]:
        """All complete messages."""
        messages, self.whole = self.whole, []
        return messages

    def is_over(self) -> None:
        """Note that no more data comes; an incomplete message is dropped."""
        self._partial.clear()
        self._prefix, self._missing = b"", 0

    def _refused(self, flag: int, length: int) -> StreamBroken:
        number = INTERNAL
        if length > self.limit_bytes:
            number = RESOURCE_EXHAUSTED
            message = f"grpc: received message larger than max ({length} vs. {self.limit_bytes})"
        elif flag != 1:
            message = f"grpc: received unexpected payload format {flag}"
        elif self.encoding in ("", "identity"):
            message = "grpc: compressed flag set with identity or empty encoding"
        else:
            message = no_decompressor(self.encoding)
        return StreamBroken(Code.CANCEL, status(number, message))
