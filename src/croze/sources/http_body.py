"""What a web server sends, into a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import BinaryIO

from croze.aio.threads import in_thread, opened
from croze.http.lazy import aiohttp
from croze.registry import failures
from croze.sources.http_options import HttpOptions

PIECE_BYTES = 1 << 20


@contextmanager
def asked(options: HttpOptions) -> Iterator[None]:
    """What goes wrong in between is the network's, or the server's."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as err:
        raise failures.no_answer(f'Get "{options.shown}"', err) from err


async def body_pieces(
    response: aiohttp.ClientResponse, options: HttpOptions
) -> AsyncGenerator[bytes, None]:
    """The body. What goes wrong with the disk that it is written to is none of this."""
    with asked(options):
        async for piece in response.content.iter_chunked(PIECE_BYTES):
            yield piece


async def write_file(
    path: str, options: HttpOptions, modified: datetime | None, pieces: AsyncIterator[bytes]
) -> str:
    """The bytes' digest, of the kind that is expected."""
    algorithm = options.checksum.partition(":")[0] or "sha256"
    sums = hashlib.new(algorithm)
    async with opened(path, "wb") as file:
        async for data in pieces:
            await in_thread(_append, file, sums.update, data)
        await in_thread(file.flush)
        os.fchown(file.fileno(), options.uid, options.gid)
        os.fchmod(file.fileno(), options.perm or 0o600)
    seconds = int(modified.timestamp()) if modified is not None else 0
    os.utime(path, (seconds, seconds))
    return f"{algorithm}:{sums.hexdigest()}"


def _append(file: BinaryIO, update: Callable[[bytes], object], data: bytes) -> None:
    update(data)
    file.write(data)
