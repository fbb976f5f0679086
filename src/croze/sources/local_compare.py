"""A directory that comes over a session, compared with those that earlier builds have left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

from croze.aio.threads import in_thread
from croze.api import wire_pb2
from croze.fs.content import digest
from croze.fs.sync.mirror import MirroredEntry, SyncResult, read_mirrored
from croze.fs.sync.receive import Receiver
from croze.fs.sync.replay import Replay
from croze.session.messages import decode
from croze.session.transfer import Sink
from croze.sources.local_kept import KeptCandidate, KeptDir, KeptTarget

if TYPE_CHECKING:
    from hashlib import _Hash

LARGE_BYTES: Final = 256 << 10
"""Notes that would hold up the event loop."""


HELD_BYTES: Final = 1 << 20
"""How much is held of contents that may be what is there already."""

Came = KeptCandidate | SyncResult
"""A directory that is as it was, or what was done to one that is not."""


class _Compared:
    """A directory, and what was told of it."""

    def __init__(self, candidate: KeptCandidate, replay: Replay) -> None:
        self.candidate = candidate
        self.replay = replay

    @cached_property
    def known(self) -> Sequence[MirroredEntry]:
        """The entries that the directory has. Raises `msgspec.DecodeError`."""
        return read_mirrored(self.replay.notes)


class AsBefore:
    """`session.transfer.Expected`: one of the kept directories is told again. Nothing is written
    before the directory `is_wanted`."""

    def __init__(
        self,
        kept_dir: KeptDir,
        is_wanted: asyncio.Event,
        first: _Compared | None,
        others: Iterator[KeptCandidate],
    ) -> None:
        self._kept = kept_dir
        self._wanted = is_wanted
        self._near = first
        self._others = others
        """Each is looked at once: of two that are alike up to here, one is as good as the other."""
        self._ended = False

    @classmethod
    async def of(cls, kept_dir: KeptDir, is_wanted: asyncio.Event) -> AsBefore:
        """Compare with the first candidate, which is likely to be the one, and with the others
        where it is not."""
        candidates = kept_dir.candidates()
        first = next(candidates, None)
        if first is None:
            return cls(kept_dir, is_wanted, None, candidates)
        is_large = _size_bytes(first) > LARGE_BYTES
        replay = await in_thread(_replay, first) if is_large else _replay(first)
        compared = _Compared(first, replay) if replay is not None else None
        return cls(kept_dir, is_wanted, compared, candidates)

    def same_again(self, packets: Sequence[bytes]) -> int:
        """See `Expected.same_again`."""
        count = self._near.replay.same_again(packets) if self._near is not None else 0
        if count < len(packets) and not self._ends(packets[count:]):
            count += self._look_further(packets[count:])
        self._ended = self._ends(packets[count:])
        return count + self._ended

    def _ends(self, packets: Sequence[bytes]) -> bool:
        """Whether the list is over, and all of it was told that is known."""
        return [*packets] == [b""] and self._near is not None and self._near.replay.is_same

    def wanted(self) -> Sequence[int]:
        """See `Expected.wanted`."""
        return ()

    def _look_further(self, packets: Sequence[bytes]) -> int:
        """How many of these packets come next in another directory that was told as this one is up
        to here: the one that goes on for longest."""
        before = self._near.replay.notes.packets[: self._near.replay.count] if self._near else []
        longest = 0
        for candidate in self._others:
            replay = _replay(candidate) if _size_bytes(candidate) <= LARGE_BYTES else None
            if replay is None or replay.same_again(before) < len(before):
                continue
            count = replay.same_again(packets)
            is_all = count == len(packets) or (replay.is_same and [*packets] == [b""])
            if is_all or count > longest or self._near is None:
                self._near, longest = _Compared(candidate, replay), count
            if is_all:
                break
        return longest

    @property
    def is_same(self) -> bool:
        """See `Expected.is_same`."""
        return self._ended

    def result(self) -> Came:
        """See `Expected.result`."""
        assert self._near is not None, "nothing is the same"
        return self._near.candidate

    async def differs(self) -> tuple[Sink[Came], Sequence[bytes]]:
        """See `Expected.differs`."""
        near, target = self._near, await self.writable()
        replay = near.replay if near is not None and near.candidate.id == target.id else None
        sink = _receiver(target, "metadata", replay)
        replayed = near.replay.notes.packets[: near.replay.count] if near and replay is None else ()
        return sink, replayed

    async def writable(self) -> KeptTarget:
        await self._wanted.wait()
        return await self._kept.writable(self._near.candidate.id if self._near is not None else "")

    def known(self) -> MirroredEntry | None:
        """What is known of the entry that was told last."""
        if self._near is None:
            return None
        try:
            return self._near.known[self._near.replay.count - 1]
        except (msgspec.DecodeError, RecursionError, IndexError):
            return None


class ReadAgain:
    """`session.transfer.Expected` where contents count, whatever is told of them: all are asked
    for, and held until they turn out to be the same, or to be too much for that."""

    def __init__(self, before: AsBefore) -> None:
        self._before = before
        self._contents: dict[int, _Content] = {}
        self._wanted: list[int] = []
        self._entries = 0
        self._taken: list[bytes] = []
        self._taken_bytes = 0

    def same_again(self, packets: Sequence[bytes]) -> int:
        """See `Expected.same_again`."""
        count = 0
        for data in packets:
            self._taken_bytes += len(data)
            if self._taken_bytes > HELD_BYTES or not self._fits(data):
                break
            self._taken.append(data)
            count += 1
        return count

    def _fits(self, data: bytes) -> bool:
        packet = decode(wire_pb2.Packet, data)
        if packet.type == wire_pb2.Packet.PACKET_DATA:
            return self._is_content(packet.ID, packet.data)
        if not self._before.same_again([data]):
            return False
        same = self._before.known() if data else None
        if same is not None and same.entry.is_file and not same.entry.linkname:
            self._contents[self._entries] = _Content(same.digest, digest.begin(same.entry))
            self._wanted.append(self._entries)
        self._entries += 1
        return not data or same is not None

    def _is_content(self, number: int, data: bytes) -> bool:
        """A piece of a content, or its end."""
        content = self._contents.get(number)
        if content is None:
            return False
        if data:
            content.sums.update(data)
            return True
        return content.digest == self._contents.pop(number).sums.digest()

    def wanted(self) -> Sequence[int]:
        """See `Expected.wanted`."""
        numbers, self._wanted = self._wanted, []
        return numbers

    @property
    def is_same(self) -> bool:
        """See `Expected.is_same`."""
        return self._before.is_same and not self._contents

    def result(self) -> Came:
        """See `Expected.result`."""
        return self._before.result()

    async def differs(self) -> tuple[Sink[Came], Sequence[bytes]]:
        """See `Expected.differs`."""
        return _receiver(await self._before.writable(), "none", None), self._taken


class _Content(Struct, frozen=True):
    """One that is on its way. `digest`: of what is there."""

    digest: bytes
    sums: _Hash


def _receiver(
    target: KeptTarget, differ: Literal["metadata", "none"], replay: Replay | None
) -> Receiver:
    return Receiver(
        str(target.dest),
        state_file=target.state,
        index_file=target.index,
        differ=differ,
        replay=replay,
    )


def _size_bytes(candidate: KeptCandidate) -> int:
    try:
        return os.stat(candidate.state).st_size
    except FileNotFoundError:
        return 0


def _replay(candidate: KeptCandidate) -> Replay | None:
    return Replay.load(candidate.state, candidate.index)
