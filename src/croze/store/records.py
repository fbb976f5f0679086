"""Records: what is known about each ref. They are kept in a `table`.

One record is one state. Its `layers` say what it consists of: a *layer* record is its parent's
layers and its own; a *stack* (a merge, or the layers between two refs) only names other records'
layers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct, field

from croze.image.descriptor import Descriptor
from croze.store.contract import BlobFetcher, MountSpec, RecordType
from croze.store.delayed_write import DelayedWrite


class Blob(msgspec.Struct, frozen=True, omit_defaults=True):
    """A layer blob as stored: the descriptor without the annotations that are always added."""

    descriptor: Descriptor
    diff_id: str


class RecordData(msgspec.Struct, omit_defaults=True):
    """What is kept of a record on disk. `snapshot` is None while the record is lazy."""

    id: str
    parents: tuple[str, ...] = ()
    stack: tuple[str, ...] | None = None
    """Ids of the records whose own layers make up a stack, base first."""
    snapshot: str | None = None
    mutable: bool = False
    retained: bool = False
    """A mutable record that outlives its handles (cache mount, local source)."""
    twin: str = ""
    """On a read-only record over a retained mutable one: the id of that."""
    side: str = ""
    """Where its side files are, if not under the id: on a record that was a twin. They are never
    moved, as somebody may be at work on them."""
    record_type: RecordType = "regular"
    description: str = ""
    created_ns: int = 0
    blob: Blob | None = None
    variants: dict[str, Blob] = {}
    """More blobs of the same layer, by compression."""
    origin: dict[str, str] | None = None
    chain_id: str = ""
    blob_chain_id: str = ""
    doubted: bool = False
    """The blob was seen to have other contents than its image says, or another image says that
    another blob has the same: who of them is right shows only when they are unpacked. Until then
    nobody gets it but by the name of its own blobs."""
    stackable: bool | None = None
    unwritten: bool = False
    """Its files are still being written (`store.write_behind`). Never so on disk."""
    meta: dict[str, str] = {}


class RefRecord(Struct, eq=False):
    """A record and what goes on with it now. Making it is its first use."""

    data: RecordData
    last_used_ns: int
    usage_count: int = 0
    snapshot_size: int | None = None
    """Bytes, once measured."""
    handles: int = 0
    users: int = 0
    """The handles, of those that are held, that make up a use, which ends with the last of them."""
    children: int = 0
    fetcher: BlobFetcher | None = None
    unfetched: bool = False
    """The fetcher had nothing, or the wrong thing."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    mount_path: str = ""
    mounts: Sequence[MountSpec] = ()
    mount_users: int = 0
    rest: DelayedWrite | None = None
    """What is left to be written of its files; None if they are all there."""
    gone: bool = False

    @property
    def id(self) -> str:
        return self.data.id

    async def written(self) -> None:
        """Wait until all of its files are there. Raises what has kept them from being written."""
        if self.rest is not None:
            await self.rest.written()

    async def is_written(self) -> bool:
        """Wait until all of its files are there; False if they never will be."""
        if self.rest is not None:
            await self.rest.ended()
        return not self.is_unwritable

    @property
    def is_unwritable(self) -> bool:
        return self.rest is not None and self.rest.has_failed

    @property
    def held(self) -> bool:
        """Whether something forbids deleting it."""
        return self.handles > 0 or self.children > 0


def utc(ns: int) -> datetime:
    """Nanoseconds since the epoch as an aware time."""
    return datetime.fromtimestamp(ns // 1000 / 1_000_000, UTC)
