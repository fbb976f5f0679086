"""A blob up to a registry while it is written: layers, while they are compressed.

Its digest is only known at the end: POST, one PATCH with all bytes as they come, PUT with the
digest (OCI distribution-spec, "Pushing a blob in chunks", as Docker's engine pushes layers).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable
from pathlib import Path
from typing import Self

from croze.aio.parallel import task_group
from croze.aio.threads import in_thread
from croze.errors import CrozeError
from croze.image.descriptor import Descriptor
from croze.registry import failures, push
from croze.registry.client import Repository
from croze.registry.hosts import Endpoint
from croze.registry.push import UploadLocation
from croze.registry.transport import RetryOn

SMALLEST_BYTES = 8 << 20
"""What has grown to this is worth requests of its own."""
_PIECE_BYTES = 1 << 20
_LEAST_BYTES = 256 << 10
_LOOK_EVERY_S = 0.03
"""Another process writes the file, which tells nobody."""


class GrowingBlob:
    """A file that somebody appends to. To be entered by who reads it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._is_whole = asyncio.Event()
        self.made: Descriptor | None = None
        """The blob, once it is whole."""

    def __enter__(self) -> Self:
        """Open it. Raises `OSError`."""
        # Held open: what is whole gets another name, and may be deleted.
        self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def complete(self, digest: str, size: int) -> None:
        """Note that it has all its bytes."""
        self.made = Descriptor("", digest, size)
        self._is_whole.set()

    async def whole(self) -> Descriptor:
        """The blob, when it is whole."""
        await self._is_whole.wait()
        assert self.made is not None
        return self.made

    async def is_large(self) -> bool:
        """Whether it grows to `SMALLEST_BYTES`: true as soon as it has."""
        while os.fstat(self._fd).st_size < SMALLEST_BYTES:
            if self.made is not None:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """All its bytes, as they come."""
        own = os.dup(self._fd)  # who reads here may end later than who closes us
        try:
            offset = 0
            while True:
                is_whole = self.made is not None  # before the look: it is then that it has all
                data = await in_thread(os.pread, own, _PIECE_BYTES, offset)
                if len(data) < _LEAST_BYTES and not is_whole:
                    await asyncio.sleep(_LOOK_EVERY_S)
                    continue
                if not data:
                    return
                yield data
                offset += len(data)
        finally:
            os.close(own)


async def push_growing(repo: Repository, blob: GrowingBlob) -> bool:
    """Bring a large blob up while it grows. Whether the registry has it then: of whatever fails
    here, `push.push_blob` will tell. What the registry turns out to have is sent no further."""
    try:
        with blob:
            return await blob.is_large() and await _push_large(repo, blob)
    except OSError:
        return False


async def _push_large(repo: Repository, blob: GrowingBlob) -> bool:
    async with task_group() as tasks:
        upload = tasks.create_task(_unless_it_fails(_send(repo, blob)))
        lookup = tasks.create_task(_unless_it_fails(_is_known(repo, blob)))
        try:
            await asyncio.wait((upload, lookup), return_when=asyncio.FIRST_COMPLETED)
            return (lookup.done() and lookup.result()) or await upload
        finally:
            upload.cancel()
            lookup.cancel()


async def _unless_it_fails(work: Awaitable[bool]) -> bool:
    try:
        return await work
    except CrozeError:
        return False


async def _is_known(repo: Repository, blob: GrowingBlob) -> bool:
    descriptor = await blob.whole()
    return await push.exists(repo, repo.endpoints(push=True)[0], f"blobs/{descriptor.digest}")


async def _send(repo: Repository, blob: GrowingBlob) -> bool:
    endpoint = repo.endpoints(push=True)[0]
    async with repo.slot:
        location = await push.start(repo, endpoint)
        if location is None:
            return False
        location = await _send_all(repo, endpoint, location, blob)
    await push.put(repo, endpoint, location, await blob.whole())
    return True


async def _send_all(
    repo: Repository, endpoint: Endpoint, location: UploadLocation, blob: GrowingBlob
) -> UploadLocation:
    async with push.send(
        repo, endpoint, location, "PATCH", location.url, {}, blob.pieces, RetryOn.NOTHING
    ) as response:
        if response.status not in (200, 201, 202, 204):
            raise await failures.unexpected(response)
        # Whoever has it from elsewhere may not say that what is near him is the registry's own.
        next_location = push.told(response)
        is_own = location.same_origin and next_location.same_origin
        return UploadLocation(next_location.url, is_own)
