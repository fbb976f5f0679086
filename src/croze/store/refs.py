"""The ref store: makes, finds and gives out refs over the operations beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager

from croze.errors import InvalidRequest, NotFound
from croze.identity import new_id
from croze.store.cachemounts import CacheMounts
from croze.store.contract import (
    BlobStore,
    ImmutableRef,
    LazyLayer,
    Lease,
    MutableRef,
    PrunePolicy,
    RecordType,
    Sharing,
    UsageRecord,
)
from croze.store.core import Core
from croze.store.handles import Handle, ImmutableHandle, MutableHandle
from croze.store.images import DiskImageStore
from croze.store.lazy import chain_records, refresh
from croze.store.leases import Leases
from croze.store.merge import computed_diff, layers_between, merge, stack
from croze.store.prune import collect_blobs, disk_usage, prune
from croze.store.records import RecordData, RefRecord
from croze.store.twins import finalize, take
from croze.store.unpack import unlazy
from croze.store.write_behind import all_written


class DiskRefStore:
    """See `RefStore`."""

    def __init__(self, core: Core, images: DiskImageStore, leases: Leases) -> None:
        self.blobs: BlobStore = core.blobs
        self._core = core
        self._images = images
        self._leases = leases
        self.cache_mounts = CacheMounts(core, self._make)

    async def new(
        self,
        parent: ImmutableRef | None,
        *,
        description: str = "",
        record_type: RecordType = "regular",
        sessions: Sequence[str] = (),
    ) -> MutableRef:
        """See `RefStore.new`."""
        return await self._make(
            parent, description=description, record_type=record_type, sessions=sessions
        )

    async def _make(
        self,
        parent: ImmutableRef | None,
        *,
        description: str,
        record_type: RecordType,
        sessions: Sequence[str] = (),
    ) -> MutableHandle:
        # What may fill the disk starts here: the next deletion must have something to give up.
        if not self._core.table.restore_ballast():
            await self._core.trash.empty()
            self._core.table.restore_ballast()
        base = await self._solid(parent) if parent else None
        if base is not None:
            await unlazy(self._core, base, sessions)
        key = new_id()
        await self._core.snapshots.prepare(key, self._core.snapshot(base) if base else None)
        try:
            record = self._core.table.add(
                RecordData(
                    id=key,
                    parents=(base.id,) if base else (),
                    snapshot=key,
                    mutable=True,
                    record_type=record_type,
                    description=description,
                )
            )
            return MutableHandle(self._core, record)
        finally:
            await self._core.drop_snapshot(key)

    def _record(self, ref: ImmutableRef) -> RefRecord:
        if not isinstance(ref, Handle):
            return self._core.table.get(ref.id)
        return ref.record

    async def _solid(self, ref: ImmutableRef) -> RefRecord:
        """The record, ready to have children."""
        record = self._record(ref)
        await finalize(self._core, record)
        return record

    async def get(self, id: str, *, uses: bool = True) -> ImmutableHandle:
        """See `RefStore.get`."""
        record = self._core.table.get(id)
        if record.data.mutable:
            raise NotFound(f"ref {id} is mutable")
        return ImmutableHandle(self._core, record, uses=uses)

    def _give(self, record: RefRecord) -> ImmutableHandle:
        return ImmutableHandle(self._core, record)

    async def get_mutable(self, id: str) -> MutableRef:
        """See `RefStore.get_mutable`."""
        return MutableHandle(self._core, await take(self._core, id))

    def get_retained(self, id: str, *, uses: bool = True) -> ImmutableHandle | None:
        """See `RefStore.get_retained`."""
        if id not in self._core.table:
            return None
        record = self._core.table.get(id)
        twin = self._core.table.twin_of(record) if record.data.mutable else None
        return None if twin is None else ImmutableHandle(self._core, twin, uses=uses)

    def find(self, **meta: str) -> Sequence[str]:
        """See `RefStore.find`."""
        return [r.id for r in self._core.table.find(**meta)]

    def exists(self, id: str) -> bool:
        """See `RefStore.exists`."""
        core = self._core
        return id in core.table and not core.is_lost(core.table.get(id))

    async def from_layers(
        self, layers: Sequence[LazyLayer], *, record_type: RecordType = "regular"
    ) -> ImmutableHandle | None:
        """See `RefStore.from_layers`."""
        record = chain_records(self._core, layers, record_type)
        return None if record is None else self._give(record)

    def refresh_layers(self, layers: Sequence[LazyLayer]) -> bool:
        """See `RefStore.refresh_layers`."""
        return refresh(self._core, layers)

    async def merge(
        self, refs: Sequence[ImmutableRef], *, description: str = ""
    ) -> ImmutableHandle:
        """See `RefStore.merge`."""
        records = [await self._solid(r) for r in refs]
        return self._give(merge(self._core, records, description))

    async def diff(
        self,
        lower: ImmutableRef | None,
        upper: ImmutableRef | None,
        *,
        description: str = "",
    ) -> ImmutableHandle:
        """See `RefStore.diff`."""
        if lower is None and upper is None:
            raise InvalidRequest("diff of nothing and nothing")
        below = await self._solid(lower) if lower else None
        above = await self._solid(upper) if upper else None
        if above is not None and below is None:
            return self._give(above)
        own = layers_between(self._core, below, above) if above else None
        if own is not None and above is not None:
            return self._give(stack(self._core, [above], own, description))
        return self._give(await computed_diff(self._core, below, above, description))

    def cache_mount(
        self, id: str, base: ImmutableRef | None, sharing: Sharing, *, description: str = ""
    ) -> AbstractAsyncContextManager[MutableRef]:
        """See `RefStore.cache_mount`."""
        return self.cache_mounts.use(id, base, sharing, description)

    async def forget_cache_mounts(self, ids: Collection[str]) -> None:
        """See `RefStore.forget_cache_mounts`."""
        await self.cache_mounts.forget(ids)

    def lease(self) -> AbstractAsyncContextManager[Lease]:
        """See `RefStore.lease`."""
        return self._leases.lease()

    async def disk_usage(
        self, filters: Sequence[str] = (), *, unused_s: float = 0
    ) -> Sequence[UsageRecord]:
        """See `RefStore.disk_usage`."""
        return await disk_usage(self._core, filters, unused_s)

    async def prune(self, policies: Sequence[PrunePolicy]) -> AsyncIterator[UsageRecord]:
        """See `RefStore.prune`. Blobs that nothing holds any more go at the end."""
        async for gone in prune(self._core, policies):
            yield gone
        collect_blobs(self._core, self._images, self._leases)
        await self._core.trash.empty()
        self._core.table.restore_ballast()

    async def close(self) -> None:
        """See `RefStore.close`."""
        await all_written(self._core)
        self._core.table.flush_quietly()
