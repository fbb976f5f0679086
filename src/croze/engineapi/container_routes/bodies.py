"""What requests about containers bring, beside their path."""

from __future__ import annotations

from aiohttp import web

from croze.engineapi.request_body import half_sent
from croze.errors import InvalidRequest

BODY_BYTES = 1 << 20
SIZE_MOST = 0xFFFF
"""As much as a terminal's size has bits (ioctl_tty(2))."""


async def read_body(request: web.Request) -> bytes:
    """The whole body of a request. Raises `InvalidRequest` for a large one."""
    data = bytearray()
    with half_sent():
        while piece := await request.content.read(BODY_BYTES):
            data += piece
            if len(data) > BODY_BYTES:
                raise InvalidRequest(f"a body of more than {BODY_BYTES} bytes")
    return bytes(data)


def read_size(request: web.Request) -> tuple[int, int]:
    """The rows and columns of a terminal, in a request's parameters. Raises `InvalidRequest`."""
    size = [request.query.get(key, "") for key in ("h", "w")]
    if not all(each.isdecimal() and len(each) < 6 and int(each) <= SIZE_MOST for each in size):
        raise InvalidRequest(f"invalid size h={size[0]} w={size[1]}")
    return int(size[0]), int(size[1])
