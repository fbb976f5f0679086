"""What reading and writing contents of cache mounts works with."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from croze.aio.parallel import all_of
from croze.aio.threads import in_thread
from croze.errors import ResourceExhausted
from croze.fs.remove import try_remove_tree
from croze.image.descriptor import Descriptor
from croze.store.blobs import DiskBlobStore
from croze.store.cachemount_contract import CacheMountStore
from croze.store.contract import BlobFetcher, BlobStore, ImmutableRef, MutableRef, RefStore
from croze.store.trash import Trash
from croze.workers.pool import Pool

MERGED: Final = "cache-dir-merged"
"""The meta key with the digests of indexes that a mount has all of, the last ones."""
REMEMBERED: Final = 16
MEMORY: Final = "bundle"
"""Name of the side file, see `fs.bundle.memory`."""

_SPOOL: Final = "mounts-"

BaseDigest = Callable[[ImmutableRef], Awaitable[str]]
"""The digest of all that a ref holds, the same on every machine."""


class MountServices(Struct, frozen=True):
    """What contents are read from and written to. `max_bytes`: the daemon's limit on the contents
    of all mounts of one cache."""

    refs: RefStore
    store: CacheMountStore
    pool: Pool
    scratch: Path
    base_digest: BaseDigest
    max_bytes: int

    @property
    def blobs(self) -> BlobStore:
        return self.refs.blobs

    def limit(self, wanted_bytes: int | None) -> int:
        """How much the contents of all mounts may hold, in bytes: what is wanted, within the
        daemon's own limit."""
        return self.max_bytes if wanted_bytes is None else min(wanted_bytes, self.max_bytes)

    async def digest_of_base(self, base_id: str) -> str:
        """The digest of a mount's base. Raises `NotFound` if it is gone."""
        if not base_id:
            return ""
        base = await self.refs.get(base_id, uses=False)
        try:
            return await self.base_digest(base)
        finally:
            await base.release()

    @asynccontextmanager
    async def fetched(
        self, fetcher: BlobFetcher, blobs: Sequence[Descriptor], sessions: Sequence[str]
    ) -> AsyncIterator[Mapping[str, Path]]:
        """Blobs, brought here for as long as they are needed, to a place of their own: whoever else
        works with what has the same digest keeps it."""
        digests = {each.digest for each in blobs}
        async with self.refs.lease() as lease, self.spool() as spool:
            for digest in digests:
                lease.hold(digest)
            lent = DiskBlobStore(spool, Trash(spool))
            missing = [each for each in blobs if not self.blobs.has(each.digest)]
            await all_of(fetcher.fetch(each, lent, sessions) for each in missing)
            yield {d: (lent if lent.has(d) else self.blobs).path(d) for d in digests}

    async def read(
        self, fetcher: BlobFetcher, blob: Descriptor, sessions: Sequence[str], limit_bytes: int
    ) -> bytes:
        """A small blob. Raises `ResourceExhausted` for one that is not."""
        if blob.size > limit_bytes:
            raise ResourceExhausted(f"blob {blob.digest} is too large ({blob.size} bytes)")
        async with self.fetched(fetcher, [blob], sessions) as paths:
            return await in_thread(paths[blob.digest].read_bytes)

    @asynccontextmanager
    async def spool(self) -> AsyncIterator[Path]:
        """A directory for packs on their way."""
        path = tempfile.mkdtemp(prefix=_SPOOL, dir=self.scratch)  # noqa: TID251 - swept at start
        try:
            yield Path(path)
        finally:
            await in_thread(try_remove_tree, path)


def sweep_spools(scratch: Path) -> None:
    """Remove, at start, what a killed daemon left."""
    for path in scratch.glob(f"{_SPOOL}*"):
        try_remove_tree(path)


def merged_into(ref: MutableRef) -> list[str]:
    """Digests of indexes that the mount has all of."""
    return (ref.get_meta(MERGED) or "").split()


def note_merged(ref: MutableRef, *digests: str) -> None:
    """Note that the mount has all that indexes with these digests describe, too."""
    earlier = [d for d in merged_into(ref) if d not in digests]
    ref.set_meta(**{MERGED: " ".join([*earlier, *digests][-REMEMBERED:])})


def rfc3339(moment: datetime) -> str:
    """A time to the microsecond in UTC: texts are in the order of the times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
