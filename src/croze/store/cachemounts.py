"""Cache mounts: writable directories that live between builds, found by id and base."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from croze.errors import AlreadyExists, NotFound
from croze.store.contract import ImmutableRef, Mount, RecordType, Sharing
from croze.store.core import Core
from croze.store.handles import MutableHandle
from croze.store.mounting import hold_mount
from croze.store.records import Record
from croze.store.twins import take

KEY = "cache-dir"
"""The meta key that names a cache mount's id and base (as BuildKit's metadata index does)."""


class MakeMutable(Protocol):
    """Makes a fresh retained mutable ref."""

    async def __call__(
        self, parent: ImmutableRef | None, *, description: str, record_type: RecordType
    ) -> MutableHandle: ...


class CacheHandle(MutableHandle):
    """A cache mount in use. Several containers may have it at once, so what they mount is never
    an overlay with the same upper directory, but a bind of the one mount."""

    def __init__(self, core: Core, record: Record, stack: AsyncExitStack) -> None:
        super().__init__(core, record)
        self._stack = stack
        self._path = ""

    async def mounts(self, *, readonly: bool, sessions: Sequence[str] = ()) -> Sequence[Mount]:
        """See `Ref.mounts`."""
        if not self._path:
            self._path = str(self._stack.enter_context(hold_mount(self._core, self.record)))
        return (Mount("bind", self._path, ("rbind", "ro" if readonly else "rw")),)


@dataclass
class _Share:
    """One directory that all SHARED users of a key have together."""

    ref: MutableHandle
    users: int = 0


class CacheMounts:
    """Who has which cache mount. See `RefStore.cache_mount`."""

    def __init__(self, core: Core, make: MakeMutable) -> None:
        self._core = core
        self._make = make
        self._shares: dict[str, _Share] = {}
        self._changes: dict[str, asyncio.Condition] = {}
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def use(
        self, id: str, base: ImmutableRef | None, sharing: Sharing, description: str
    ) -> AsyncIterator[MutableHandle]:
        """Hold a cache mount while inside."""
        key = f"{id}:{base.id}" if base else id
        async with self._condition(key) as change:
            ref = await self._acquire(key, base, sharing, description, change)
            try:
                async with AsyncExitStack() as stack:
                    handle = CacheHandle(self._core, ref.record, stack)
                    try:
                        yield handle
                    finally:
                        await handle.release()
            finally:
                await self._release(key, ref, sharing)
                async with change:
                    change.notify_all()

    @asynccontextmanager
    async def _condition(self, key: str) -> AsyncIterator[asyncio.Condition]:
        """The key's condition, kept while anyone is interested."""
        change = self._changes.setdefault(key, asyncio.Condition())
        self._waiting[key] += 1
        try:
            yield change
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._changes[key]

    async def _acquire(
        self,
        key: str,
        base: ImmutableRef | None,
        sharing: Sharing,
        description: str,
        change: asyncio.Condition,
    ) -> MutableHandle:
        async with change:
            if sharing is Sharing.SHARED and (share := self._shares.get(key)) is not None:
                share.users += 1
                return share.ref
            while True:
                ref, locked = await self._idle(key)
                if ref is not None or not (locked and sharing is Sharing.LOCKED):
                    break
                await change.wait()
            if ref is None:
                ref = await self._fresh(key, base, description)
            if sharing is Sharing.SHARED:
                self._shares[key] = _Share(ref, 1)
            return ref

    async def _idle(self, key: str) -> tuple[MutableHandle | None, bool]:
        """A free directory of this key, if any; and whether there are some in use."""
        locked = False
        for record in self._core.table.find(**{KEY: key}):
            try:
                return MutableHandle(self._core, await take(self._core, record.id)), locked
            except AlreadyExists:
                locked = True
            except NotFound:
                continue
        return None, locked

    async def _fresh(self, key: str, base: ImmutableRef | None, description: str) -> MutableHandle:
        ref = await self._make(base, description=description, record_type="exec.cachemount")
        self._core.table.change(ref.record, meta={KEY: key}, retained=True)
        self._core.table.used(ref.record)
        return ref

    async def _release(self, key: str, ref: MutableHandle, sharing: Sharing) -> None:
        if sharing is Sharing.SHARED:
            share = self._shares[key]
            share.users -= 1
            if share.users:
                return
            del self._shares[key]
        await ref.release()
