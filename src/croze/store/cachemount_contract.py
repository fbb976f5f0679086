"""What the store promises of the contents of cache mounts, beside `RefStore.cache_mount`.

A cache mount is an id and a base (a ref's id, or empty); there may be several directories of one,
where they are PRIVATE or were in use. Contents are read and replaced whole: who reads or replaces a
directory has it alone, and who wants to use the mount meanwhile waits rather than getting an empty
one. Only while others use a directory as SHARED it is read beside them, as each of them reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from croze.store.contract import ImmutableRef, MutableRef, Sharing


class CacheMountInfo(Struct, frozen=True):
    """One directory of a cache mount."""

    id: str
    base_id: str
    ref_id: str
    description: str
    in_use: bool
    created_at: datetime
    last_used_at: datetime
    usage_count: int
    notes: Mapping[str, str]
    """What `CommonRef.set_meta` was told of it."""


class CacheMountDir(Struct, frozen=True):
    """Held contents. `path`: the directory with what is in the mount; of one with a base only what
    differs from that, where the snapshotter keeps it apart, in overlayfs' form."""

    ref: MutableRef
    path: Path


class Replacement(Struct, frozen=True):
    """The directory `old` of a cache mount, None if it has none, and `new`, which is to stand for
    it: empty, on the same base, and known to nobody yet."""

    old: CacheMountDir | None
    new: CacheMountDir


class CacheMountStore(Protocol):
    """Looks at cache mounts from outside of builds."""

    def all(self) -> Sequence[CacheMountInfo]:
        """Most recently used first."""

    def path(self, ref_id: str) -> Path:
        """Where a directory's own files are, to be looked at. Raises `NotFound`."""

    def side_file(self, ref_id: str, name: str) -> Path:
        """See `CommonRef.side_file`. Raises `NotFound`."""

    def reading(
        self, id: str, base_id: str, sharing: Sharing
    ) -> AbstractAsyncContextManager[CacheMountDir | None]:
        """The directory that was used last, None if there is none. Waits for users that have it
        LOCKED or PRIVATE; if `sharing` is LOCKED, for all."""

    def replacing(
        self, id: str, base: ImmutableRef | None, sharing: Sharing, *, description: str = ""
    ) -> AbstractAsyncContextManager[Replacement | None]:
        """Fill `new`: when the `async with` is left it stands for `old`, whole or, after an error,
        not at all. None if others use the mount as SHARED now, so that it can't be replaced; LOCKED
        waits for them, and PRIVATE makes one more directory."""

    async def forget(self, ids: Collection[str]) -> None:
        """See `RefStore.forget_cache_mounts`."""
