"""The blobs that a record names, beside the build's results: its log, its attestations, its error.

They have to be on disk before the build is answered, as BuildKit has them. A file of its own for
each would be waited for, twice: so small ones are written with the record's row, in its
transaction, and become files when nobody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Final

from croze.aio.threads import in_thread
from croze.api.control_pb2 import Descriptor
from croze.digests import digest_of
from croze.store.blobs import DiskBlobStore, DiskBlobWriter
from croze.store.contract import Lease

INLINE_BYTES: Final = 1 << 20
"""How much goes into a row. What is larger takes longer to write than to wait for."""


class RecordBlobs:
    """One record's."""

    def __init__(self, blobs: DiskBlobStore, lease: Lease) -> None:
        """All are held by `lease`, which lasts until the record holds them."""
        self.inline: list[bytes] = []
        """Blobs to be written with the row."""
        self._blobs = blobs
        self._lease = lease
        self._room_bytes = INLINE_BYTES

    async def add(self, pieces: Iterable[bytes], media_type: str) -> Descriptor:
        """A blob of these pieces. Raises `ResourceExhausted` when the disk is full."""
        size, inline = 0, list[bytes]()
        async with AsyncExitStack() as stack:
            writer: DiskBlobWriter | None = None
            for piece in pieces:
                if size:
                    await asyncio.sleep(0)  # pieces are large: others get their turn
                size += len(piece)
                if writer is None:
                    inline.append(piece)
                    if size <= self._room_bytes:
                        continue
                    writer = await stack.enter_async_context(self._blobs.writer())
                    piece = b"".join(inline)
                await in_thread(writer.write, piece)
            digest = await writer.commit() if writer is not None else self._add_inline(inline)
        self._lease.hold(digest)
        return Descriptor(digest=digest, size=size, media_type=media_type)

    def _add_inline(self, pieces: Iterable[bytes]) -> str:
        data = b"".join(pieces)
        self._room_bytes -= len(data)
        digest = digest_of(data)
        if not self._blobs.has(digest):
            self.inline.append(data)
        return digest
