"""The caches in object storage that a daemon knows, and where it fetches their layers from."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from croze.aio.locks import KeyedLocks
from croze.aio.threads import in_thread
from croze.clouds.aws import CredentialChain
from croze.clouds.azure import DefaultIdentity
from croze.errors import Corrupted, CrozeError, InvalidRequest, NotFound, PermissionDenied
from croze.http.daemon import HttpClient
from croze.image.descriptor import Descriptor
from croze.remotecache.objects.contract import OWN, ObjectCache
from croze.remotecache.objects.gha_signatures import Signatures
from croze.remotecache.objects.rate_limit import RateLimit
from croze.sources.content import TransferProgress
from croze.status import Progress
from croze.store.contract import BlobFetcher, BlobStore

if TYPE_CHECKING:  # each kind is imported when it is first asked for
    from croze.remotecache.objects.azblob_options import AzblobOptions
    from croze.remotecache.objects.gha_options import GhaOptions
    from croze.remotecache.objects.s3_options import S3Options

    Options: TypeAlias = S3Options | AzblobOptions | GhaOptions

GHA, S3, AZBLOB = "gha", "s3", "azblob"
KINDS = frozenset({GHA, S3, AZBLOB})
_MOST_REMEMBERED = 256
_ASKED_AT_ONCE = 16


def parse(kind: str, attrs: Mapping[str, str]) -> Options:
    """What the attributes of a cache of this kind say. Raises `InvalidRequest`, also for an unknown
    kind."""
    match kind:
        case "gha":
            from croze.remotecache.objects import gha_options

            return gha_options.parse(attrs)
        case "s3":
            from croze.remotecache.objects import s3_options

            return s3_options.parse(attrs)
        case "azblob":
            from croze.remotecache.objects import azblob_options

            try:
                return azblob_options.parse(attrs)
            except InvalidRequest as err:
                raise err.wrap("failed to create azblob config") from None
    raise InvalidRequest(f"unknown cache: {kind}")


class ObjectCaches:
    """The caches in object storage that the daemon's builds have opened. Close it at the end."""

    def __init__(self, signatures: Signatures) -> None:
        """`signatures`: of what is in GitHub's cache."""
        self.locks: KeyedLocks[str] = KeyedLocks()
        self._signatures = signatures
        self._aws = CredentialChain()
        self._azure = DefaultIdentity()
        self._limit = RateLimit()
        self._http: HttpClient | None = None
        self._latest: OrderedDict[frozenset[tuple[str, str]], ObjectCache] = OrderedDict()

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        if self._http is not None:
            await self._http.close()

    async def open(self, options: Options) -> ObjectCache:
        """The cache, ready for use; it is remembered. Raises `CrozeError`."""
        if self._http is None:
            self._http = HttpClient(taken_s=120)
        cache = await self._opened(options, self._http)
        place = frozenset(cache.origin.items())
        self._latest[place] = cache
        self._latest.move_to_end(place)
        while len(self._latest) > _MOST_REMEMBERED:
            self._latest.popitem(last=False)
        return cache

    async def _opened(self, options: Options, http: HttpClient) -> ObjectCache:
        match options.kind:
            case "s3":
                from croze.remotecache.objects.s3 import open_s3

                return open_s3(options, self._aws, http)
            case "gha":
                from croze.remotecache.objects.gha import open_gha

                return open_gha(options, http, self._limit, self._signatures)
            case "azblob":
                from croze.remotecache.objects.azblob import open_azblob

                container = open_azblob(options, self._azure, http)
                try:
                    await container.open()
                except CrozeError as err:
                    raise err.wrap("failed to create container client") from None
                return container

    def latest(self, origin: Mapping[str, str]) -> ObjectCache | None:
        """The cache as it was opened last: its credentials live, others' may have expired."""
        return self._latest.get(frozenset(origin.items()))

    def fetcher(self, origin: Mapping[str, str]) -> BlobFetcher:
        """A fetcher of layers that were left in a cache before a restart. Raises `NotFound` if no
        build has opened the cache since, and the daemon's own credentials are not those for it."""
        if self.latest(origin) is None and origin.get("credentials") != OWN:
            raise NotFound(f"nobody has opened the {origin.get('kind')} cache since")
        return ObjectFetcher(self, origin)

    async def reopened(self, origin: Mapping[str, str]) -> ObjectCache:
        """The cache that was open before a restart, with the daemon's own credentials."""
        match origin.get("kind"):
            case "s3":
                from croze.remotecache.objects import s3_options

                return await self.open(s3_options.of_origin(origin))
            case "azblob":
                from croze.remotecache.objects import azblob_options

                return await self.open(azblob_options.of_origin(origin))
        raise NotFound(f"nobody has opened the {origin.get('kind')} cache since")


class ObjectFetcher(Struct):
    """Layers from a cache that was opened. `broken`: one of them was not there, or not what it was
    said to be; then the others are better made again, too."""

    caches: ObjectCaches
    origin: Mapping[str, str]
    cache: ObjectCache | None = None
    progress: Progress | None = None
    broken: bool = False

    @property
    def spent(self) -> bool:
        """See `BlobFetcher`."""
        caches = [c for c in (self.caches.latest(self.origin), self.cache) if c is not None]
        return self.broken or (bool(caches) and all(cache.spent for cache in caches))

    async def fetch(
        self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        """See `BlobFetcher`."""
        async with self.caches.locks.of(descriptor.digest):
            if not blobs.has(descriptor.digest):
                try:
                    await self._fetch(descriptor, blobs)
                except (NotFound, Corrupted):
                    self.broken = True
                    raise

    async def _fetch(self, descriptor: Descriptor, blobs: BlobStore) -> None:
        latest = self.caches.latest(self.origin)
        if latest is None and self.cache is None:
            latest = await self.caches.reopened(self.origin)
        if latest is not None and self.cache not in (None, latest):
            try:
                return await self._fetch_from(latest, descriptor, blobs)
            except (PermissionDenied, NotFound):
                pass  # somebody else's credentials may be newer, and for something else
        cache = self.cache or latest
        assert cache is not None
        await self._fetch_from(cache, descriptor, blobs)

    async def _fetch_from(
        self, cache: ObjectCache, descriptor: Descriptor, blobs: BlobStore
    ) -> None:
        report = TransferProgress(self.progress, descriptor)
        fetched_bytes = 0
        async with blobs.writer() as writer:

            async def take(data: bytes) -> None:
                nonlocal fetched_bytes
                await in_thread(writer.write, data)
                fetched_bytes += len(data)
                report.count(fetched_bytes)

            await cache.read_blob(descriptor, take)
            await writer.commit(digest=descriptor.digest, size=descriptor.size)
        report.done()


class Presence:
    """Which blobs of a cache are there: each is asked for once, and few at a time, however many
    results it is a layer of."""

    def __init__(self, cache: ObjectCache) -> None:
        self._cache = cache
        self._there: set[str] = set()
        self._locks: KeyedLocks[str] = KeyedLocks()
        self._slots = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def check(self, digest: str) -> None:
        """See that a blob is still there. Raises `NotFound`."""
        async with self._locks.of(digest):
            if digest in self._there:
                return
            async with self._slots:
                if not await self._cache.has_blob(digest):
                    raise NotFound(f"blob {digest}: not found")
            self._there.add(digest)
