"""A directory that comes over a session, compared with those that earlier builds have left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from croze.aio.threads import in_thread
from croze.fs.sync.mirror import SyncResult
from croze.fs.sync.receive import Receiver
from croze.fs.sync.told import Told
from croze.session.transfer import Sink
from croze.sources.local_kept import Candidate, KeptDir

LARGE_BYTES: Final = 256 << 10
"""Notes that would hold up the event loop."""


class _Compared(Struct, frozen=True):
    candidate: Candidate
    told: Told


class AsBefore:
    """`session.transfer.Expected`: one of the kept directories is told again. Nothing is written
    before the directory is `wanted`."""

    def __init__(
        self,
        kept: KeptDir,
        wanted: asyncio.Event,
        first: _Compared | None,
        others: Iterator[Candidate],
    ) -> None:
        self._kept = kept
        self._wanted = wanted
        self._near = first
        self._others = others
        """Each is looked at once: of two that are alike up to here, one is as good as the other."""

    @classmethod
    async def of(cls, kept: KeptDir, wanted: asyncio.Event) -> AsBefore:
        """Compare with the first candidate, which is likely to be the one, and with the others
        where it is not."""
        candidates = kept.candidates()
        first = next(candidates, None)
        if first is None:
            return cls(kept, wanted, None, candidates)
        is_large = _size_bytes(first) > LARGE_BYTES
        told = await in_thread(_told, first) if is_large else _told(first)
        compared = _Compared(first, told) if told is not None else None
        return cls(kept, wanted, compared, candidates)

    def same_again(self, packets: Sequence[bytes]) -> int:
        """See `Expected.same_again`."""
        count = self._near.told.same_again(packets) if self._near is not None else 0
        if count < len(packets):
            count += self._look_further(packets[count:])
        return count

    def _look_further(self, packets: Sequence[bytes]) -> int:
        """How many of these packets come next in another directory that was told as this one is up
        to here: the one that goes on for longest."""
        before = self._near.told.notes.packets[: self._near.told.count] if self._near else []
        longest = 0
        for candidate in self._others:
            told = _told(candidate) if _size_bytes(candidate) <= LARGE_BYTES else None
            if told is None or told.same_again(before) < len(before):
                continue
            count = told.same_again(packets)
            is_all = count == len(packets) or (told.is_same and [*packets] == [b""])
            if is_all or count > longest or self._near is None:
                self._near, longest = _Compared(candidate, told), count
            if is_all:
                break
        return longest

    @property
    def is_same(self) -> bool:
        """See `Expected.is_same`."""
        return self._near is not None and self._near.told.is_same

    def result(self) -> Candidate | SyncResult:
        """See `Expected.result`."""
        assert self._near is not None, "nothing is the same"
        return self._near.candidate

    async def differs(self) -> tuple[Sink[Candidate | SyncResult], Sequence[bytes]]:
        """See `Expected.differs`."""
        await self._wanted.wait()
        near = self._near
        target = await self._kept.writable(near.candidate.id if near is not None else "")
        told = near.told if near is not None and near.candidate.id == target.id else None
        sink = Receiver(
            str(target.dest), state_file=target.state, index_file=target.index, told=told
        )
        replayed = near.told.notes.packets[: near.told.count] if near and told is None else ()
        return sink, replayed


def _size_bytes(candidate: Candidate) -> int:
    try:
        return os.stat(candidate.state).st_size
    except FileNotFoundError:
        return 0


def _told(candidate: Candidate) -> Told | None:
    return Told.load(candidate.state, candidate.index)
