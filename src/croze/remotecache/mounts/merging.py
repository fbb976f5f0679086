"""Bringing one mount's contents from a cache into the mount of the same name here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.fs.bundle.read import MergedBundle, merge_bundle, needed
from croze.image.descriptor import Descriptor
from croze.remotecache.mounts.listing import PACK, ListedMount
from croze.remotecache.mounts.services import MEMORY, MountServices, merged_into, note_merged
from croze.store.cachemount_contract import CacheMountDir, Replacement
from croze.store.contract import BlobFetcher, ImmutableRef, Sharing


class Brought(Struct, frozen=True):
    """What a merge has brought into a mount. `moved_bytes`: of the blobs that were fetched;
    `merged`: what was in them."""

    moved_bytes: int
    merged: MergedBundle


class MountOffer(Struct, frozen=True):
    """A mount in a cache, and who fetches its blobs. `limit_bytes`: of its files."""

    mount: ListedMount
    fetcher: BlobFetcher
    limit_bytes: int


async def bring(
    services: MountServices,
    offer: MountOffer,
    base: ImmutableRef | None,
    sharing: Sharing,
    *,
    sessions: Sequence[str],
    description: str = "",
) -> Brought | None:
    """Merge the offer into the mount of its id and this base: the newest of each file. None, with
    nothing fetched, if this very offer was merged before. Raises `InvalidRequest` while others use
    the mount, so that it can't be replaced, and what fetching and `fs.bundle` raise; then it is as
    it was."""
    mount = offer.mount
    with suppress(_Known):
        async with services.store.replacing(
            mount.id, base, sharing, description=description
        ) as replacement:
            if replacement is None:
                raise InvalidRequest("it is in use by another step or build")
            old = replacement.old
            if old is not None and mount.index.digest in merged_into(old.ref):
                raise _Known
            return await _merge(services, offer, replacement, sessions)
    return None


class _Known(Exception):
    """Stops a replacement: the mount has all of this already."""


async def _merge(
    services: MountServices, offer: MountOffer, replacement: Replacement, sessions: Sequence[str]
) -> Brought:
    mount, old, new = offer.mount, replacement.old, replacement.new
    index = mount.descriptors()[0]
    async with services.fetched(offer.fetcher, [index], sessions) as indexes:
        index_path = str(indexes[index.digest])
        before = str(old.path) if old else None
        need = await services.pool.run(needed, index_path, before, offer.limit_bytes)
        packs = _packs(need, mount)
        async with services.fetched(offer.fetcher, packs, sessions) as paths:
            merged = await services.pool.run(
                merge_bundle,
                index_path,
                {digest: str(path) for digest, path in paths.items()},
                before,
                str(new.path),
                (_memory(old) if old else None, _memory(new)),
                offer.limit_bytes,
            )
    note_merged(new.ref, *(merged_into(old.ref) if old else ()), mount.index.digest)
    return Brought(index.size + sum(pack.size for pack in packs), merged)


def _packs(digests: Sequence[str], mount: ListedMount) -> list[Descriptor]:
    """Only what the listing names is fetched."""
    listed = {pack.digest: pack.size for pack in mount.packs}
    if any(digest not in listed for digest in digests):
        raise InvalidRequest("invalid cache mount index: it needs packs that are not listed")
    return [Descriptor(PACK, digest, listed[digest]) for digest in digests]


def _memory(directory: CacheMountDir) -> str:
    return str(directory.ref.side_file(MEMORY))
