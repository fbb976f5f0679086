"""The handles that other rooms hold. Each counts once on its record until it is released."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Self

from croze.errors import InvalidRequest
from croze.store.contract import Compression, LayerBlob, MountSpec, WriteRest
from croze.store.core import Core
from croze.store.layer_blobs import LayerRequest, fetch_by_digest, known_layers, layer_blobs
from croze.store.records import RefRecord
from croze.store.ref_mounts import mounted, mounts_of
from croze.store.sizes import record_size
from croze.store.twins import finalize, retain
from croze.store.unpack import unlazy
from croze.store.watch_contract import LayerWatch


class Handle:
    """See `Ref`."""

    def __init__(self, core: Core, record: RefRecord, *, uses: bool = True) -> None:
        self._core = core
        self._record = record
        self._released = False
        self._uses = uses
        record.handles += 1
        record.users += uses

    @property
    def id(self) -> str:
        """The record's id."""
        return self._record.id

    @property
    def description(self) -> str:
        """What made this state."""
        return self._record.data.description

    @property
    def record(self) -> RefRecord:
        """The record, for the store's own operations. Raises `InvalidRequest` on a released
        handle."""
        if self._released:
            raise InvalidRequest(f"ref {self.id} was released")
        return self._record

    def set_meta(self, **values: str) -> None:
        """See `CommonRef.set_meta`."""
        record = self.record
        self._core.table.change(record, meta=record.data.meta | values)

    def get_meta(self, key: str) -> str | None:
        """See `CommonRef.get_meta`."""
        return self._record.data.meta.get(key)

    async def mounts(self, *, readonly: bool, sessions: Sequence[str] = ()) -> Sequence[MountSpec]:
        """See `CommonRef.mounts`."""
        return await mounts_of(self._core, self.record, readonly=readonly, sessions=sessions)

    def mounted(
        self, *, readonly: bool, sessions: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Path]:
        """See `CommonRef.mounted`."""
        if not readonly and not self.record.data.mutable:
            raise InvalidRequest(f"ref {self.id} is immutable")
        return self._mounted(sessions)

    @asynccontextmanager
    async def _mounted(self, sessions: Sequence[str]) -> AsyncIterator[Path]:
        async with mounted(self._core, self.record, sessions) as path:
            assert path is not None
            yield path

    def side_file(self, name: str) -> Path:
        """See `CommonRef.side_file`."""
        directory = self._core.side_dir(self.record)
        directory.mkdir(exist_ok=True)
        return directory / name

    async def usage(self) -> int:
        """Bytes on disk of this record alone, snapshot and blobs."""
        return await record_size(self._core, self.record)

    async def release(self) -> None:
        """See `CommonRef.release`. Idempotent."""
        if self._released:
            return
        self._let_go()
        if self._uses and not self._record.users:
            self._core.table.used(self._record)
        data = self._record.data
        if data.mutable and not data.retained and not self._core.table.held(self._record):
            await self._core.delete([self._record])

    def _let_go(self) -> None:
        self._released = True
        self._record.handles -= 1
        self._record.users -= self._uses


class ImmutableHandle(Handle):
    """See `ImmutableRef`."""

    def clone(self) -> Self:
        """A second handle, to be released too."""
        return type(self)(self._core, self.record, uses=False)

    @property
    def lazy(self) -> bool:
        """Whether a mount must fetch or unpack first."""
        return self._core.is_lazy(self._record)

    @property
    def parent_ids(self) -> Sequence[str]:
        """Ids of the records under this one."""
        return self._record.data.parents

    @property
    def unwritten(self) -> bool:
        """See `ImmutableRef.unwritten`."""
        return self._record.data.unwritten

    def write_soon(self) -> None:
        """See `ImmutableRef.write_soon`."""
        if self._record.rest is not None:
            self._record.rest.begin()

    async def unlazy(self, sessions: Sequence[str] = ()) -> None:
        """See `ImmutableRef.unlazy`."""
        if not self.unwritten:
            await self.materialize(sessions)

    async def materialize(self, sessions: Sequence[str] = ()) -> None:
        """See `ImmutableRef.materialize`."""
        await unlazy(self._core, self.record, sessions)

    async def layers(
        self,
        compression: Compression,
        *,
        sessions: Sequence[str] = (),
        fetch: bool = False,
        watch: LayerWatch | None = None,
    ) -> Sequence[LayerBlob]:
        """See `ImmutableRef.layers`."""
        await finalize(self._core, self.record)
        request = LayerRequest(compression, sessions, fetch, watch)
        return await layer_blobs(self._core, self.record, request)

    def known_layers(self) -> Sequence[LayerBlob] | None:
        """See `ImmutableRef.known_layers`."""
        return known_layers(self._core, self.record)

    async def fetch_blob(self, digest: str, sessions: Sequence[str] = ()) -> None:
        """See `ImmutableRef.fetch_blob`."""
        await fetch_by_digest(self._core, self.record, digest, sessions)


class MutableHandle(Handle):
    """See `MutableRef`."""

    async def commit(
        self, *, retain: bool = False, rest: WriteRest | None = None
    ) -> ImmutableHandle:
        """See `MutableRef.commit`."""
        return await self._retain(rest) if retain else await self._freeze()

    async def discard(self) -> None:
        """See `MutableRef.discard`."""
        self._core.table.change(self.record, retained=False)
        await self.release()

    async def _freeze(self) -> ImmutableHandle:
        record = self.record
        self._check_alone(record)
        self._core.commit(record, self._core.snapshot(record), mutable=False, retained=False)
        return self._swap(record)

    async def _retain(self, rest: WriteRest | None) -> ImmutableHandle:
        self._check_alone(self.record)
        return self._swap(retain(self._core, self.record, rest))

    def _check_alone(self, record: RefRecord) -> None:
        if record.handles != 1:
            raise InvalidRequest(f"ref {record.id} can't be committed while others have it")

    def _swap(self, record: RefRecord) -> ImmutableHandle:
        """The mutable handle is spent, in the same moment as the new one begins."""
        handle = ImmutableHandle(self._core, record)
        self._let_go()
        return handle
