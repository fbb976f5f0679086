"""Frames of HTTP/2 (RFC 9113, sections 4 and 6): their layout, and how they are written."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from croze.gotypes.quote import quote

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)

END_STREAM: Final = 0x01
ACK: Final = 0x01
END_HEADERS: Final = 0x04
PADDED: Final = 0x08
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6
CROZED: Final = 0xF0C2
"""A setting of our own: the server is a `crozed`. Its number is of those for experiments (RFC 7540,
section 11.3); who does not know it passes over it (section 6.5.2)."""

HEAD_BYTES: Final = 9
DEFAULT_TABLE: Final = 4096
DEFAULT_WINDOW: Final = 65_535
LARGEST_WINDOW: Final = 2**31 - 1
DEFAULT_FRAME: Final = 16_384
LARGEST_FRAME: Final = 2**24 - 1
SMALL_BYTES: Final = 2048
"""Payloads of fewer are copied sooner than looked at in place."""
INVALID: Final = "invalid HTTP/2: "
"""Begins the reason why a connection has ended whose peer broke the rules."""
_LINE_BYTES: Final = 80

head: Final = struct.Struct(">IBI")
"""Length (24 bits) and type (8), flags, stream."""
word: Final = struct.Struct(">I")
setting: Final = struct.Struct(">HI")


class Code(IntEnum):
    """Error codes: why a stream or a connection ends (RFC 9113, section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ConnectionBroken(Exception):
    """The peer has broken the protocol, which ends the connection (RFC 9113, 5.4.1)."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def too_long(size: int, data: bytes, at: int, *, greeted: bool) -> ConnectionBroken:
    """The error for a frame of that size, which begins at `at`. Of a peer who has not said what it
    speaks it is none: texts of other protocols (HTTP/1, SSH), read as frames, have megabytes."""
    if greeted:
        return ConnectionBroken(Code.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
    line = data[at : at + _LINE_BYTES].partition(b"\n")[0].rstrip(b"\r")
    text = quote(line.decode(errors="surrogateescape"))
    return ConnectionBroken(Code.PROTOCOL_ERROR, f"the peer does not speak it, but says {text}")


def number(payload: bytes) -> int:
    """What a frame that holds one number says. Raises `ConnectionBroken`."""
    if len(payload) != 4:
        raise ConnectionBroken(Code.FRAME_SIZE_ERROR, f"{len(payload)} bytes for a number")
    value: int = word.unpack(payload)[0]
    return value


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame (RFC 9113, section 4.1)."""
    return head.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(setting.pack(*pair) for pair in values.items()))


def window_update(stream: int, more: int) -> bytes:
    """A WINDOW_UPDATE frame: `more` bytes may be sent on the stream, or on the connection for 0."""
    return frame(WINDOW_UPDATE, 0, stream, word.pack(more))


def rst_stream(stream: int, code: Code) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, word.pack(code))


def goaway(last_stream: int, code: Code, message: str) -> bytes:
    """A GOAWAY frame; of `message` no more than 256 bytes go."""
    debug_data = message.encode(errors="replace")[:256]
    return frame(GOAWAY, 0, 0, word.pack(last_stream) + word.pack(code) + debug_data)


def completed(cut: bytes, data: bytes) -> tuple[bytes, int]:
    """A frame that was cut off, with what there is of its rest at the beginning of `data`; and
    where the next frame begins there. What is behind is not copied."""
    at = 0
    if len(cut) < HEAD_BYTES:
        at = min(HEAD_BYTES - len(cut), len(data))
        cut += data[:at]
    if len(cut) >= HEAD_BYTES:
        length = head.unpack_from(cut)[0] >> 8
        begin, at = at, min(at + HEAD_BYTES + length - len(cut), len(data))
        cut += data[begin:at]
    return cut, at
