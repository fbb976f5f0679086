"""Cache mounts: writable directories that live between builds, found by id and base."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
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


@dataclass
class _Key:
    """What is going on with one cache mount's id. `freed` is set when one of its directories is
    given back; who waits then looks again."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0
    share: _Share | None = None


class CacheMounts:
    """Who has which cache mount. See `RefStore.cache_mount`."""

    def __init__(self, core: Core, make: MakeMutable) -> None:
        self._core = core
        self._make = make
        self._keys: dict[str, _Key] = {}

    @asynccontextmanager
    async def use(
        self, id: str, base: ImmutableRef | None, sharing: Sharing, description: str
    ) -> AsyncIterator[MutableHandle]:
        """Hold a cache mount while inside."""
        name = f"{id}:{base.id}" if base else id
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

    async def forget(self, ids: Collection[str]) -> None:
        """See `RefStore.forget_cache_mounts`."""
        for record in self._core.table.all():
            name = record.data.meta.get(KEY, "")
            if name in ids or name.rpartition(":")[0] in ids:
                meta = {key: value for key, value in record.data.meta.items() if key != KEY}
                self._core.table.change(record, meta=meta, retained=False)
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
            if ref is None and locked and sharing is Sharing.LOCKED:
                return None
            if ref is None:
                ref = await self._fresh(name, base, description)
            if sharing is Sharing.SHARED:
                key.share = _Share(ref, 1)
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
