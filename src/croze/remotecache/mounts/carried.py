"""The cache mounts of one build: what the caches that it imports have of them, and what it used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from msgspec import Struct, field

from croze.aio.locks import KeyedLocks
from croze.errors import CrozeError, as_own
from croze.job_values import JobKey
from croze.remotecache.imported import OpenedCache
from croze.remotecache.mounts.listing import LIMIT_BYTES, Listing, decode, find_listing
from croze.remotecache.mounts.merging import Brought, MountOffer, bring
from croze.remotecache.mounts.options import MountOptions, shown
from croze.remotecache.mounts.services import MERGED, MountServices
from croze.solver.contract import OpContext
from croze.status import step
from croze.store.contract import BlobFetcher, ImmutableRef, Sharing

MountKey = tuple[str, str]
"""Id, and digest of the base."""


class CarriedCache(Struct, frozen=True):
    """An imported cache that has cache mounts beside it."""

    listing: Listing
    fetcher: BlobFetcher
    options: MountOptions

    def offers(self, services: MountServices) -> list[MountOffer]:
        """The mounts that it is to bring."""
        limit = services.limit(self.options.max_bytes)
        mounts = (mount for mount in self.listing.mounts if self.options.wants(mount.id))
        return [MountOffer(mount, self.fetcher, limit) for mount in mounts]


class BuildMounts(Struct):
    """See `ops.carried.CarriedMounts`. A mount is brought when a step that uses it is about to run;
    what the build doesn't run costs nothing."""

    services: MountServices
    exported: bool = False
    """Whether they go to a cache, too."""
    sources: list[CarriedCache] = field(default_factory=list)
    ran: set[MountKey] = field(default_factory=set)
    """Mounts that steps of this build have used."""
    fresh: set[str] = field(default_factory=set)
    """Ids whose steps ignore the cache: they start empty."""
    _locks: KeyedLocks[MountKey] = field(default_factory=KeyedLocks)

    async def look_into(
        self, cache: OpenedCache, options: MountOptions, sessions: Sequence[str]
    ) -> None:
        """Find out which cache mounts lie beside an imported cache. Raises `CrozeError`."""
        listing = find_listing(cache.beside)
        if listing is None or cache.fetcher is None:
            return
        data = await self.services.read(cache.fetcher, listing, sessions, LIMIT_BYTES)
        self.sources.append(CarriedCache(decode(data), cache.fetcher, options))

    def start_fresh(self, ids: Collection[str]) -> None:
        """See `CarriedMounts`."""
        self.fresh.update(ids)

    async def bring(
        self,
        id: str,
        base: ImmutableRef | None,
        sharing: Sharing,
        ctx: OpContext,
        *,
        description: str,
    ) -> None:
        """See `CarriedMounts`."""
        if not (self.exported or self.sources):
            return
        digest = await self.services.base_digest(base) if base is not None else ""
        key = (id, digest)
        self.ran.add(key)
        if id in self.fresh:
            return
        async with self._locks.of(key):
            for offer in self.offers(key):
                await self._bring(offer, base, sharing, ctx, description)

    def offers(self, key: MountKey) -> Iterator[MountOffer]:
        """What the imported caches have of a mount and are to bring."""
        for source in self.sources:
            for offer in source.offers(self.services):
                if (offer.mount.id, offer.mount.base) == key:
                    yield offer

    async def _bring(
        self,
        offer: MountOffer,
        base: ImmutableRef | None,
        sharing: Sharing,
        ctx: OpContext,
        description: str,
    ) -> None:
        """A mount that can't be had is done without, as the rest of a cache is."""
        id = offer.mount.id
        base_id = base.id if base is not None else ""
        if has_all(self.services, id, base_id, offer.mount.index.digest):
            return
        name = shown(id)
        try:
            async with step(ctx.progress, f"importing cache mount {name}"):
                brought = await bring(
                    self.services,
                    offer,
                    base,
                    sharing,
                    sessions=ctx.sessions(),
                    description=description,
                )
        except (CrozeError, OSError) as err:  # the disk's, too: full, or a path too long for it
            # Another build may have brought it meanwhile, and use it now.
            if not has_all(self.services, id, base_id, offer.mount.index.digest):
                ctx.progress.warn(f"failed to import cache mount {name}: {as_own(err)}")
            return
        if brought is not None:
            ctx.progress.log(2, f"{summary(name, brought)}\n".encode())


BUILD_MOUNTS: Final = JobKey[BuildMounts]("build-mounts")
"""A build's, to let it know of more caches."""


def has_all(services: MountServices, id: str, base_id: str, index: str) -> bool:
    """Whether a directory of the mount has all that the index describes."""
    mounts = (m for m in services.store.all() if (m.id, m.base_id) == (id, base_id))
    return any(index in mount.notes.get(MERGED, "").split() for mount in mounts)


def summary(name: str, brought: Brought) -> str:
    merged = brought.merged
    return (
        f"imported cache mount {name}: {merged.files} files, {merged.content_bytes} bytes, "
        f"{brought.moved_bytes} transferred"
    )
