"""The body of a request, as a build or a container reads it while it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from aiohttp import ClientError, StreamReader

from croze.errors import Canceled, as_own
from croze.identity import new_id
from croze.session.upload import HOST

PIECE_BYTES = 1 << 18
HEAD_BYTES = 1024


class RequestBody:
    """A request's body, to be read once."""

    def __init__(self, content: StreamReader) -> None:
        self._content = content
        self._head = b""
        self.url = f"http://{HOST}/{new_id()}"
        """Stands for it in a build (`SessionManager.uploaded`)."""

    async def peek(self) -> bytes:
        """How it begins: less than `HEAD_BYTES` only if it ends there."""
        while len(self._head) < HEAD_BYTES:
            with half_sent():
                if not (data := await self._content.readany()):
                    break
            self._head += data
        return self._head[:HEAD_BYTES]

    def put_before(self, data: bytes) -> None:
        """Have it begin with this."""
        self._head = data + self._head

    async def pieces(self) -> AsyncIterator[bytes]:
        """The whole body, as it comes. Raises `Canceled` if the client breaks off."""
        piece = bytearray(self._head)
        with half_sent():
            while data := await self._content.readany():
                piece += data
                if len(piece) >= PIECE_BYTES:
                    yield bytes(piece)
                    piece.clear()
        if piece:
            yield bytes(piece)


@contextmanager
def half_sent() -> Iterator[None]:
    """Around reading a body: raises `Canceled` when the client goes, or breaks off, in the
    middle."""
    try:
        yield
    except (ClientError, ConnectionError, asyncio.IncompleteReadError) as error:
        raise Canceled(f"the client sent half of the request: {as_own(error)}") from error
