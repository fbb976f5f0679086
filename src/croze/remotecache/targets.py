"""Where a cache is written to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from croze.aio.threads import chunks
from croze.errors import NotFound
from croze.image.descriptor import Descriptor
from croze.registry import push
from croze.registry.client import Repository
from croze.remotecache.objects.contract import Bring, ObjectCache
from croze.session.content import CHUNK_BYTES, LentStore
from croze.status import Progress

if TYPE_CHECKING:
    from croze.registry.early import EarlyPush


class BlobTarget(Protocol):
    """Blobs come before what names them, and all may be there already."""

    async def has_blob(self, blob: Descriptor) -> bool:
        """Whether `write_blob` would have nothing to do."""

    async def write_blob(self, blob: Descriptor, bring: Bring) -> None:
        """Store a blob. `bring` fetches its bytes and is called only if they are needed."""


class ManifestTarget(BlobTarget, Protocol):
    """The cache config is a blob, and a manifest names it."""

    async def write_manifest(self, manifest: Descriptor, data: bytes) -> None:
        """Store a manifest, whose blobs have been written, and give it the target's name."""


class ObjectTarget(Struct, frozen=True):
    """Object storage: the cache config has names itself. It says itself what it writes, and why it
    can't."""

    cache: ObjectCache
    progress: Progress

    async def has_blob(self, blob: Descriptor) -> bool:
        """See `BlobTarget`."""
        return await self.cache.has_blob(blob.digest)

    async def write_blob(self, blob: Descriptor, bring: Bring) -> None:
        """See `BlobTarget`."""
        await self.cache.write_blob(blob, bring, self.progress)


class RegistryTarget(Struct, frozen=True):
    """A repository; the manifest gets the reference's tag."""

    repo: Repository
    early: EarlyPush | None = None
    """What has been pushed already."""

    async def has_blob(self, blob: Descriptor) -> bool:
        """See `BlobTarget`."""
        return await push.has_blob(self.repo, blob)

    async def write_blob(self, blob: Descriptor, bring: Bring) -> None:
        """See `BlobTarget`."""
        if self.early is not None and await self.early.has_pushed(self.repo, blob.digest):
            return
        key = f"containerd.io/distribution.source.{self.repo.ref.domain}"
        origin = blob.annotations.get(key, "").split(",")[0]
        await push.push_blob(self.repo, blob, bring, mount_from=origin)

    async def write_manifest(self, manifest: Descriptor, data: bytes) -> None:
        """See `BlobTarget`."""
        await push.push_manifest(self.repo, data, manifest.media_type, tag=self.repo.ref.tag)


class LentTarget(Struct, frozen=True):
    """A directory of the client, who enters the manifest into its index."""

    store: LentStore

    async def has_blob(self, blob: Descriptor) -> bool:
        """See `BlobTarget`."""
        try:
            await self.store.info(blob.digest)
        except NotFound:
            return False
        return True

    async def write_blob(self, blob: Descriptor, bring: Bring) -> None:
        """See `BlobTarget`."""
        await self.store.write(blob.digest, blob.size, _chunks(bring))

    async def write_manifest(self, manifest: Descriptor, data: bytes) -> None:
        """See `BlobTarget`."""
        await self.store.write(manifest.digest, manifest.size, _once(data))


async def _chunks(bring: Bring) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks(await bring(), CHUNK_BYTES)) as pieces:
        async for data in pieces:
            yield data


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
