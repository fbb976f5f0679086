"""What every `ObjectCache` does, whatever the storage; also when the storage is ill."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from croze.errors import Corrupted, CrozeError, NotFound, PermissionDenied
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.remotecache.objects.contract import ObjectCache
from croze.status import Silent
from tests.support.faulty_proxy import Fault, Proxy

Opening = Callable[[], Awaitable[ObjectCache]]


@dataclass(frozen=True)
class Storage:
    """What a suite runs on. `open`: a cache by way of the proxy; `stranger`: by somebody who has no
    business there, whose secret is `secret`. `piece_bytes`: above this, blobs go up in parts."""

    open: Opening
    stranger: Opening
    secret: str
    proxy: Proxy
    piece_bytes: int
    reads_blobs: str = "GET"
    """In the lines of requests that read a blob."""
    writes_blobs: str = "PUT"
    busy: int = 503
    """What an answer says that is asked for again."""


@dataclass
class Blob:
    """On disk; `brought` counts how often somebody wanted it."""

    path: Path
    data: bytes
    brought: int = 0

    @classmethod
    def of(cls, folder: Path, size: int) -> Blob:
        data = os.urandom(size)
        path = folder / hashlib.sha256(data).hexdigest()
        path.write_bytes(data)
        return cls(path, data)

    @property
    def described(self) -> Descriptor:
        return Descriptor(media.OCI_LAYER_GZIP, f"sha256:{self.path.name}", len(self.data))

    async def bring(self) -> Path:
        self.brought += 1
        return self.path


async def write(cache: ObjectCache, blob: Blob) -> None:
    await cache.write_blob(blob.described, blob.bring, Silent())


async def read(cache: ObjectCache, described: Descriptor) -> bytes:
    found = bytearray()

    async def take(data: bytes) -> None:
        found.extend(data)

    await cache.read_blob(described, take)
    return bytes(found)


class ObjectCacheSuite:
    """Subclasses give the fixture `storage`, empty for each test."""

    async def test_blobs_are_written_once(self, storage: Storage, tmp_path: Path) -> None:
        cache, blob = await storage.open(), Blob.of(tmp_path, 1000)
        assert not await cache.has_blob(blob.described.digest)
        await write(cache, blob)
        assert await cache.has_blob(blob.described.digest)
        assert await read(cache, blob.described) == blob.data
        await write(await storage.open(), blob)
        assert blob.brought == 1

    async def test_large_and_empty_blobs(self, storage: Storage, tmp_path: Path) -> None:
        cache = await storage.open()
        for size in (0, storage.piece_bytes * 2 + 17):
            blob = Blob.of(tmp_path, size)
            await write(cache, blob)
            assert await read(cache, blob.described) == blob.data

    async def test_many_write_the_same(self, storage: Storage, tmp_path: Path) -> None:
        blob = Blob.of(tmp_path, storage.piece_bytes + 5)
        caches = [await storage.open() for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            for cache in caches:
                group.create_task(write(cache, blob))
        assert await read(await storage.open(), blob.described) == blob.data

    async def test_a_config_is_written_over(self, storage: Storage) -> None:
        cache = await storage.open()
        assert list(await cache.read_configs(Silent())) == []
        for data in (b'{"first":1}', b'{"second":2}'):
            await cache.write_configs(data, Silent())
            assert list(await (await storage.open()).read_configs(Silent())) == [data]

    async def test_what_is_not_there(self, storage: Storage, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            await read(await storage.open(), Blob.of(tmp_path, 5).described)

    async def test_busy_servers_are_asked_again(self, storage: Storage, tmp_path: Path) -> None:
        cache, blob = await storage.open(), Blob.of(tmp_path, 1000)
        storage.proxy.faults.append(Fault(storage.writes_blobs, "status", storage.busy))
        await write(cache, blob)
        storage.proxy.faults.append(Fault(storage.reads_blobs, "status", storage.busy))
        assert await read(cache, blob.described) == blob.data
        assert not storage.proxy.faults

    async def test_a_broken_transfer_goes_on(self, storage: Storage, tmp_path: Path) -> None:
        cache, blob = await storage.open(), Blob.of(tmp_path, 3 << 20)
        await write(cache, blob)
        storage.proxy.faults.append(Fault(storage.reads_blobs, "cut", 2 << 20))
        storage.proxy.faults.append(Fault(storage.reads_blobs, "refuse"))
        assert await read(cache, blob.described) == blob.data
        assert not storage.proxy.faults
        assert any(f"bytes={2 << 20}-" in line for line in storage.proxy.seen)

    async def test_an_answer_that_never_ends(self, storage: Storage, tmp_path: Path) -> None:
        cache, blob = await storage.open(), Blob.of(tmp_path, 1000)
        await write(cache, blob)
        storage.proxy.faults.append(Fault(storage.reads_blobs, "longer", 1 << 12))
        with pytest.raises(Corrupted, match="longer than 1000 bytes"):
            await read(cache, blob.described)

    async def test_redirects_are_not_followed_with_a_body(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        """Nor with credentials."""
        cache = await storage.open()
        elsewhere = {"Location": f"{storage.proxy.url}/elsewhere"}
        for status in (301, 307):
            storage.proxy.faults.append(
                Fault(storage.writes_blobs, "status", status, headers=elsewhere)
            )
            with pytest.raises(CrozeError):
                await write(cache, Blob.of(tmp_path, 1000))
        assert not any("elsewhere" in line for line in storage.proxy.seen)

    async def test_a_stranger_is_refused(self, storage: Storage, tmp_path: Path) -> None:
        """And what is said of it has no secret in it."""
        with pytest.raises(PermissionDenied) as caught:
            await write(await storage.stranger(), Blob.of(tmp_path, 5))
        assert storage.secret not in str(caught.value)

    async def test_an_upload_that_is_broken_off(self, storage: Storage, tmp_path: Path) -> None:
        cache, blob = await storage.open(), Blob.of(tmp_path, storage.piece_bytes * 2 + 1)
        gone = Blob(tmp_path / "gone", blob.data)
        described = blob.described

        async def bring() -> Path:
            return gone.path

        with pytest.raises((CrozeError, OSError)):
            await cache.write_blob(described, bring, Silent())
        with pytest.raises(NotFound):
            await read(await storage.open(), described)
