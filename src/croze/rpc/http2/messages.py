"""gRPC's messages in the data of a stream: each has a flag and its length in front."""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from google.rpc import status_pb2  # type: ignore[import-untyped]

from croze.gotypes.quote import quote
from croze.rpc.http2.frames import Code
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.status import status

PREFIX_BYTES: Final = 5
prefix: Final = struct.Struct(">BI")
"""Whether it is compressed, and its length."""

OK, CANCELLED, UNKNOWN, RESOURCE_EXHAUSTED = 0, 1, 2, 8
PERMISSION_DENIED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 7, 12, 13, 14, 16


ENCODINGS: Final = frozenset(("gzip", "deflate"))
"""How peers may compress what they send."""
_ANY_ZLIB: Final = 32 + zlib.MAX_WBITS


class StreamBroken(Exception):
    """The peer does what ends one stream. `status` is what its call ends with."""

    def __init__(self, code: Code, status: status_pb2.Status) -> None:
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


def prefixed_pieces(pieces: Sequence[bytes | memoryview]) -> bytes:
    """One message, not compressed, that is in pieces."""
    return b"".join((prefix.pack(0, sum(map(len, pieces))), *pieces))


class Packed(bytes):
    """A message that is compressed."""

    def inflated(self, limit_bytes: int = MESSAGE_LIMIT_BYTES) -> bytes:
        """The message itself, of at most `limit_bytes`. Raises `StreamBroken`."""
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
        self._partial = bytearray()
        self._need = 0

    @property
    def may_be_packed(self) -> bool:
        return self.encoding in ENCODINGS

    @property
    def is_cut(self) -> bool:
        """Whether a message has begun that is not whole."""
        return bool(self._partial)

    def add(self, piece: bytes) -> int:
        """How long the message is that has begun with this piece and is not whole, if there is one.
        Raises `StreamBroken`."""
        at = begun = 0
        if self._partial:
            at, begun = self._complete(piece)
        size, unpack, limit = len(piece), prefix.unpack_from, self.limit_bytes
        if at == size:
            return begun
        self._need = PREFIX_BYTES
        add = self.whole.append
        while size - at >= PREFIX_BYTES:
            begin = at + PREFIX_BYTES
            flag, length = unpack(piece, at)
            if flag or length > limit:
                self._check(flag, length)
            if begin + length > size:
                begun, self._need = length, PREFIX_BYTES + length
                break
            at = begin + length
            add(Packed(piece[begin:at]) if flag else piece[begin:at])
        if at < size:
            self._partial += piece[at:]
        return begun

    def _complete(self, piece: bytes) -> tuple[int, int]:
        """The message that was cut off goes on: where the next one begins in this piece, and its
        length, if that is told by this piece and not all is there."""
        partial, at, length = self._partial, 0, 0
        while True:
            end = at + self._need - len(partial)
            partial += piece[at:end]
            if end > len(piece):
                return len(piece), length
            at = end
            flag, size = prefix.unpack_from(partial)
            if self._need == PREFIX_BYTES and size:
                self._check(flag, size)
                self._need += size
                length = size
                continue
            self._check(flag, size)
            message = bytes(memoryview(partial)[PREFIX_BYTES:])
            self.whole.append(Packed(message) if flag else message)
            self._partial = bytearray()
            return at, 0

    def _check(self, flag: int, length: int) -> None:
        if length > self.limit_bytes or (flag and not (flag == 1 and self.may_be_packed)):
            raise self._refused(flag, length)

    def take(self) -> list[bytes]:
        """All that are whole."""
        messages, self.whole = self.whole, []
        return messages

    def is_over(self) -> None:
        """Nothing more comes; what is cut off is of no use."""
        self._partial.clear()

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
