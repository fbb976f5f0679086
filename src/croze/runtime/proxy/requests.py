"""HTTP/1 as a proxy's client speaks it (RFC 9112)."""

from __future__ import annotations

from asyncio import IncompleteReadError, LimitOverrunError, StreamReader
from collections.abc import AsyncIterator

from msgspec import Struct

from croze.errors import InvalidRequest

HEAD_BYTES = 64 << 10
_PIECE = 64 << 10
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


class RequestHead(Struct, frozen=True):
    """The first lines of a request. Names of headers are in lower case."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """The values of a header, joined by commas; empty for none."""
        return ", ".join(value for key, value in self.headers if key == name)

    def passed_on(self) -> dict[str, str]:
        """The headers that are for the server, and not for the proxy."""
        dropped = _HOP_BY_HOP | {"host", "accept-encoding", "expect"}
        named = {key: self.header(key) for key, _ in self.headers if key not in dropped}
        cookies = [value for key, value in self.headers if key == "cookie"]
        return named | ({"cookie": "; ".join(cookies)} if cookies else {})

    @property
    def closes(self) -> bool:
        """Whether the client wants no more of the connection."""
        options = self.header("connection").lower()
        return "close" in options or (self.version == "HTTP/1.0" and "keep-alive" not in options)


def is_hop_by_hop(name: str) -> bool:
    """Whether a header is for one connection alone."""
    return name.lower() in _HOP_BY_HOP


async def read_head(reader: StreamReader) -> RequestHead | None:
    """The next request's first lines; None when the client has nothing more to say. Raises
    `InvalidRequest`."""
    try:
        data = await reader.readuntil(b"\r\n\r\n")
    except IncompleteReadError as error:
        if error.partial.strip():
            raise InvalidRequest("incomplete request") from None
        return None
    except LimitOverrunError:
        raise InvalidRequest("the request's headers are too long") from None
    first, *lines = data.decode("latin-1").strip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise InvalidRequest("malformed request line")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise InvalidRequest("malformed header")
        headers.append((name.lower(), value.strip()))
    return RequestHead(words[0], words[1], words[2], tuple(headers))


def body_of(head: RequestHead, reader: StreamReader) -> AsyncIterator[bytes] | None:
    """The bytes that follow a request's head; None for none. Raises `InvalidRequest`, now or while
    they are read."""
    coding, length = head.header("transfer-encoding"), head.header("content-length")
    if coding:
        if coding.lower() != "chunked" or length:
            raise InvalidRequest("unsupported transfer encoding")
        return _chunks(reader)
    if not length:
        return None
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        raise InvalidRequest("malformed content length")
    return _exactly(reader, int(length)) if int(length) else None


async def _exactly(reader: StreamReader, remaining_bytes: int) -> AsyncIterator[bytes]:
    while remaining_bytes:
        data = await reader.read(min(remaining_bytes, _PIECE))
        if not data:
            raise InvalidRequest("incomplete body")
        remaining_bytes -= len(data)
        yield data


async def _chunks(reader: StreamReader) -> AsyncIterator[bytes]:
    try:
        while size := _chunk_size(await reader.readuntil(b"\r\n")):
            async for data in _exactly(reader, size):
                yield data
            if await reader.readexactly(2) != b"\r\n":
                raise InvalidRequest("malformed chunk")
        while (await reader.readuntil(b"\r\n")) != b"\r\n":
            pass  # trailers
    except LimitOverrunError:
        raise InvalidRequest("a line of the body is too long") from None


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or not set(digits) <= set(b"0123456789abcdefABCDEF") or len(digits) > 15:
        raise InvalidRequest("malformed chunk")
    return int(digits, 16)
