"""gRPC's messages in the data of a stream: each has a flag and its length in front."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from google.rpc import status_pb2  # type: ignore[import-untyped]

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
            message = f"grpc: message after decompression larger than max {limit_bytes}"
            raise StreamBroken(Code.CANCEL, status(RESOURCE_EXHAUSTED, message))
        return data


class Messages:
    """Puts together what comes in pieces. With `may_be_packed` some may be `Packed`."""

    def __init__(self) -> None:
        self.limit_bytes = MESSAGE_LIMIT_BYTES
        """The largest message."""
        self.may_be_packed = False
        self.whole: list[bytes] = []
        self._partial = bytearray()
        self._need = 0

    @property
    def is_cut(self) -> bool:
        """Whether a message has begun that is not whole."""
        return bool(self._partial)

    def add(self, piece: bytes) -> int:
        """How long the message is that has begun with this piece and is not whole, if there is one.
        Raises `StreamBroken`."""
        if self._partial:
            self._partial += piece
            if len(self._partial) < self._need:
                return 0
            piece, self._partial = bytes(self._partial), bytearray()
        at, size, begun, unpack = 0, len(piece), 0, prefix.unpack_from
        self._need = PREFIX_BYTES
        while size - at >= PREFIX_BYTES:
            begin = at + PREFIX_BYTES
            flag, length = unpack(piece, at)
            if length > self.limit_bytes or (flag and not (flag == 1 and self.may_be_packed)):
                raise _refused(flag, length, self.limit_bytes)
            if begin + length > size:
                begun, self._need = length, PREFIX_BYTES + length
                break
            at = begin + length
            self.whole.append(Packed(piece[begin:at]) if flag else piece[begin:at])
        if at < size:
            self._partial += piece[at:]
        return begun

    def take(self) -> list[bytes]:
        """All that are whole."""
        messages, self.whole = self.whole, []
        return messages

    def is_over(self) -> None:
        """Nothing more comes; what is cut off is of no use."""
        self._partial.clear()


def _refused(flag: int, length: int, limit: int) -> StreamBroken:
    if flag and length <= limit:
        message = f"grpc: received message with unknown encoding {flag}"
        return StreamBroken(Code.CANCEL, status(INTERNAL, message))
    message = f"grpc: received message larger than max ({length} vs. {limit})"
    return StreamBroken(Code.CANCEL, status(RESOURCE_EXHAUSTED, message))
