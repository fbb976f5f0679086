"""Cache mounts: writable directories that live between builds, found by id and base."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from croze.aio.threads import finish
from croze.errors import AlreadyExists, NotFound
from croze.store.cachemount_contract import CacheMountDir, CacheMountInfo, Replacement
from croze.store.contract import CACHE_MOUNT, ImmutableRef, MountSpec, RecordType, Sharing
from croze.store.core import Core
from croze.store.handles import MutableHandle
from croze.store.records import RefRecord, utc
from croze.store.ref_mounts import hold_mount
from croze.store.twins import take

KEY = "cache-dir"
"""The meta key that names a cache mount's id and base (as BuildKit's metadata index does)."""


def _name(id: str, base_id: str) -> str:
    return f"{id}:{base_id}" if base_id else id


def _info(record: RefRecord) -> CacheMountInfo:
    base_id = record.data.parents[0] if record.data.parents else ""
    return CacheMountInfo(
        id=record.data.meta[KEY].removesuffix(f":{base_id}" if base_id else ""),
        base_id=base_id,
        ref_id=record.id,
        description=record.data.description,
        in_use=record.handles > 0,
        created_at=utc(record.data.created_ns),
        last_used_at=utc(record.last_used_ns),
        usage_count=record.usage_count,
        notes=record.data.meta,
    )


class MakeMutable(Protocol):
    """Makes a fresh retained mutable ref."""

    async def __call__(
        self, parent: ImmutableRef | None, *, description: str, record_type: RecordType
    ) -> MutableHandle:
        """A new record over `parent`, or over nothing; the handle is the caller's."""


class CacheHandle(MutableHandle):
    """A cache mount in use. Several containers may have it at once, so what they mount is never
    an overlay with the same upper directory, but a bind of the one mount."""

    def __init__(self, core: Core, record: RefRecord, stack: AsyncExitStack) -> None:
        super().__init__(core, record)
        self._stack = stack
        self._path = ""

    async def mounts(self, *, readonly: bool, sessions: Sequence[str] = ()) -> Sequence[MountSpec]:
        """See `CommonRef.mounts`."""
        if not self._path:
            self._path = str(self._stack.enter_context(hold_mount(self._core, self.record)))
        return (MountSpec("bind", self._path, ("rbind", "ro" if readonly else "rw")),)


class _Share(Struct):
    """One directory that all SHARED users of a key have together."""

    ref: MutableHandle
    users: int = 0


class _Key(Struct):
    """What is going on with one cache mount's id. `freed` is set when one of its directories is
    given back; who waits then looks again."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0
    share: _Share | None = None
    alone: int = 0
    """Who reads or replaces contents: meanwhile nobody gets a fresh directory."""


class CacheMounts:
    """Who has which cache mount. See `RefStore.cache_mount` and `CacheMountStore`."""

    def __init__(self, core: Core, make: MakeMutable) -> None:
        self._core = core
        self._make = make
        self._keys: dict[str, _Key] = {}

    @asynccontextmanager
    async def use(
        self, id: str, base: ImmutableRef | None, sharing: Sharing, description: str
    ) -> AsyncIterator[MutableHandle]:
        """Hold a cache mount while inside."""
        name = _name(id, base.id if base else "")
        with self._interest(name) as key:
            while (ref := await self._acquire(name, key, base, sharing, description)) is None:
                await key.freed.wait()
            try:
                async with AsyncExitStack() as stack:
                    handle = CacheHandle(self._core, ref.record, stack)
                    stack.push_async_callback(handle.release)
                    yield handle
            finally:
                await self._release(key, ref, sharing)

    def all(self) -> Sequence[CacheMountInfo]:
        """See `CacheMountStore.all`."""
        records = [record for record in self._core.table.all() if KEY in record.data.meta]
        return [_info(r) for r in sorted(records, key=lambda r: r.last_used_ns, reverse=True)]

    def path(self, ref_id: str) -> Path:
        """See `CacheMountStore.path`."""
        return self._own_files(self._core.table.get(ref_id))

    def side_file(self, ref_id: str, name: str) -> Path:
        """See `CacheMountStore.side_file`."""
        directory = self._core.side_dir(self._core.table.get(ref_id))
        directory.mkdir(exist_ok=True)
        return directory / name

    @asynccontextmanager
    async def reading(
        self, id: str, base_id: str, sharing: Sharing
    ) -> AsyncIterator[CacheMountDir | None]:
        """See `CacheMountStore.reading`."""
        name = _name(id, base_id)
        with self._interest(name) as key:
            while (share := await self._take_to_read(name, key, sharing)) is None:
                await key.freed.wait()
            ref, shared = share
            if ref is None:
                yield None
                return
            try:
                yield self._directory(ref)
            finally:
                key.alone -= not shared
                await self._release(key, ref, Sharing.SHARED if shared else Sharing.PRIVATE)

    async def _take_to_read(
        self, name: str, key: _Key, sharing: Sharing
    ) -> tuple[MutableHandle | None, bool] | None:
        """A handle and whether it is shared; None if one must wait until `key.freed`."""
        async with key.lock:
            key.freed.clear()
            if key.share is not None:
                if sharing is Sharing.LOCKED:
                    return None
                key.share.users += 1
                return key.share.ref, True
            ref, locked = await self._idle(name, uses=False)
            if ref is None:
                return None if locked or key.alone else (None, False)
            key.alone += 1
            return ref, False

    @asynccontextmanager
    async def replacing(
        self, id: str, base: ImmutableRef | None, sharing: Sharing, *, description: str = ""
    ) -> AsyncIterator[Replacement | None]:
        """See `CacheMountStore.replacing`."""
        name = _name(id, base.id if base else "")
        with self._interest(name) as key:
            while (share := await self._take_to_replace(name, key, sharing)) is None:
                await key.freed.wait()
            old, free = share
            if not free:
                yield None
                return
            try:
                async with self._replaced(name, old, base, description) as replacement:
                    yield replacement
            finally:
                key.alone -= 1
                key.freed.set()
                if old is not None:
                    await finish(old.release())

    async def _take_to_replace(
        self, name: str, key: _Key, sharing: Sharing
    ) -> tuple[MutableHandle | None, bool] | None:
        """What to replace, and whether one may; None if one must wait until `key.freed`."""
        async with key.lock:
            key.freed.clear()
            old, locked = (None, True)
            if key.share is None:
                old, locked = await self._idle(name, uses=False)
            if old is None and (key.alone or (locked and sharing is Sharing.LOCKED)):
                return None
            if old is None and locked and sharing is Sharing.SHARED:
                return None, False
            key.alone += 1
            return old, True

    @asynccontextmanager
    async def _replaced(
        self, name: str, old: MutableHandle | None, base: ImmutableRef | None, description: str
    ) -> AsyncIterator[Replacement]:
        """The new one is known first: whenever we die, one of them is."""
        text = description or (old.description if old else "")
        new = await self._make(base, description=text, record_type=CACHE_MOUNT)
        try:
            before = self._directory(old) if old else None
            yield Replacement(before, self._directory(new))
            meta = new.record.data.meta | {KEY: name}
            self._core.retain(new.record, meta=meta)
            if old is not None:
                self._forget(old.record)
        finally:
            await finish(new.release())

    def _directory(self, ref: MutableHandle) -> CacheMountDir:
        return CacheMountDir(ref, self._own_files(ref.record))

    def _own_files(self, record: RefRecord) -> Path:
        snapshot = self._core.snapshot(record)
        own = self._core.snapshots.upper(snapshot)
        # A snapshotter that keeps no changes apart has the whole in one directory.
        return own or Path(self._core.snapshots.mounts(snapshot)[0].source)

    def _forget(self, record: RefRecord) -> None:
        meta = {key: value for key, value in record.data.meta.items() if key != KEY}
        self._core.table.change(record, meta=meta, retained=False)

    async def forget(self, ids: Collection[str]) -> None:
        """See `RefStore.forget_cache_mounts`."""
        for record in self._core.table.all():
            if KEY in record.data.meta and _info(record).id in ids:
                self._forget(record)
                if not self._core.table.held(record):
                    await self._core.delete([record])

    @contextmanager
    def _interest(self, name: str) -> Iterator[_Key]:
        """The key's state, kept while anyone is interested."""
        key = self._keys.setdefault(name, _Key())
        key.users += 1
        try:
            yield key
        finally:
            key.users -= 1
            if not key.users:
                del self._keys[name]

    async def _acquire(
        self, name: str, key: _Key, base: ImmutableRef | None, sharing: Sharing, description: str
    ) -> MutableHandle | None:
        """A handle, or None if one must wait until `key.freed`."""
        async with key.lock:
            key.freed.clear()
            if sharing is Sharing.SHARED and key.share is not None:
                key.share.users += 1
                return key.share.ref
            ref, locked = await self._idle(name)
            if ref is None and (key.alone or (locked and sharing is Sharing.LOCKED)):
                return None
            if ref is None:
                ref = await self._fresh(name, base, description)
            if sharing is Sharing.SHARED:
                key.share = _Share(ref, 1)
            return ref

    async def _idle(self, key: str, *, uses: bool = True) -> tuple[MutableHandle | None, bool]:
        """A free directory of this key, if any; and whether there are some in use."""
        locked = False
        for record in self._core.table.find(**{KEY: key}):
            try:
                mutable = await take(self._core, record.id)
                return MutableHandle(self._core, mutable, uses=uses), locked
            except AlreadyExists:
                locked = True
            except NotFound:
                continue
        return None, locked

    async def _fresh(self, key: str, base: ImmutableRef | None, description: str) -> MutableHandle:
        ref = await self._make(base, description=description, record_type=CACHE_MOUNT)
        self._core.retain(ref.record, meta={KEY: key})
        return ref

    async def _release(self, key: _Key, ref: MutableHandle, sharing: Sharing) -> None:
        if sharing is Sharing.SHARED and key.share is not None:
            key.share.users -= 1
            if key.share.users:
                return
            key.share = None
        # Whatever happens next, those who wait must look again: set the event first. They run
        # when this task next waits, by when the handle is released.
        key.freed.set()
        await ref.release()
