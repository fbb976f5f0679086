"""A directory that comes over a session, compared with those that earlier builds have left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

from croze.aio.threads import in_thread
from croze.api import wire_pb2
from croze.fs.content import digest
from croze.fs.sync.mirror import MirroredEntry, SyncResult, read_mirrored
from croze.fs.sync.receive import Receiver
from croze.fs.sync.replay import FEW_BYTES, Replay, fingerprint
from croze.session.messages import decode
from croze.session.transfer import Sink
from croze.sources.local.kept import KeptCandidate, KeptDir, KeptTarget

if TYPE_CHECKING:
    from hashlib import _Hash

LARGE_BYTES: Final = 256 << 10
"""Notes that would hold up the event loop."""


_STAT: Final = b"\x12"
"""What the packet of an entry begins with (protobuf's encoding): the tag of its `stat`."""
HELD_BYTES: Final = 1 << 20
"""How much is held of contents that may be what is there already."""

Came = KeptCandidate | SyncResult
"""A directory that is as it was, or what was done to one that is not."""


class _Compared:
    """A directory, and what was told of it."""

    def __init__(self, candidate: KeptCandidate, replay: Replay) -> None:
        self.candidate = candidate
        self.replay = replay
        self._noted = _mark(candidate.state)

    @property
    def is_as_it_was(self) -> bool:
        """Whether nobody has written to the directory. To be asked once it is open for writing:
        before that it was held by nobody for a moment."""
        return _mark(self.candidate.state) == self._noted

    @cached_property
    def known(self) -> Sequence[MirroredEntry]:
        """The entries that the directory has. Raises `msgspec.DecodeError`."""
        return read_mirrored(self.replay.notes)


class AsBefore:
    """`session.transfer.Expected`: one of the kept directories is told again. Nothing is written
    before the directory `is_wanted`.

    Where there are several, what comes is held once it is not what was told of the first of them,
    until the list ends, or is too long for that: a whole list tells which of any number it is.
    """

    def __init__(
        self,
        kept_dir: KeptDir,
        is_wanted: asyncio.Event,
        first: _Compared | None,
        others: Iterator[KeptCandidate],
        *,
        may_hold: bool,
    ) -> None:
        self._kept = kept_dir
        self._wanted = is_wanted
        self._near = first
        self._others = others
        """Each is looked at once: of two that are alike up to here, one is as good as the other."""
        self._may_hold = may_hold
        self._held: list[bytes] | None = None
        """All that has come, from when it may be any directory's."""
        self._held_bytes = 0
        self._ended = False

    @classmethod
    async def of(
        cls, kept_dir: KeptDir, is_wanted: asyncio.Event, *, may_hold: bool = False
    ) -> AsBefore:
        """Compare with the first candidate, which is likely to be the one, and with the others
        where it is not."""
        candidates = kept_dir.candidates()
        first, second = next(candidates, None), next(candidates, None)
        others = candidates if second is None else chain((second,), candidates)
        compared = None
        if first is not None:
            is_large = _size_bytes(first) > LARGE_BYTES
            replay = await in_thread(_replay, first) if is_large else _replay(first)
            compared = _Compared(first, replay) if replay is not None else None
        may_hold = may_hold and second is not None
        return cls(kept_dir, is_wanted, compared, others, may_hold=may_hold)

    def same_again(self, packets: Sequence[bytes]) -> int:
        """See `Expected.same_again`."""
        count = 0
        if self._held is None:
            count = self._near.replay.same_again(packets) if self._near is not None else 0
            if count < len(packets) and not self._ends(packets[count:]):
                if self._may_hold:
                    self._held = self._as_told()
                    self._held_bytes = sum(map(len, self._held))
                else:
                    count += self._look_further(packets[count:])
        if self._held is not None:
            count += self._hold(packets[count:])
        self._ended = self._ends(packets[count:])
        return count + self._ended

    def _as_told(self) -> list[bytes]:
        """What has come, as long as nothing is held."""
        return self._near.replay.notes.packets[: self._near.replay.count] if self._near else []

    def _ends(self, packets: Sequence[bytes]) -> bool:
        """Whether the list is over, and all of it was told that is known."""
        if self._held is not None or [*packets] != [b""]:
            return False
        return self._near is not None and self._near.replay.is_same

    def wanted(self) -> Sequence[int]:
        """See `Expected.wanted`."""
        return ()

    def _hold(self, packets: Sequence[bytes]) -> int:
        """How many of these are held, or are what was told of the directory that it turns out to
        be."""
        assert self._held is not None
        for count, packet in enumerate(packets):
            self._held_bytes += len(packet)
            if not packet.startswith(_STAT) or self._held_bytes > FEW_BYTES:
                return count + self._decide(packets[count:])
            self._held.append(packet)
        return len(packets)

    def _decide(self, packets: Sequence[bytes]) -> int:
        """These are not held any more; how many of them are as told."""
        assert self._held is not None
        if [*packets] == [b""] and self._is_known(self._held):
            return 0
        held, before = self._held, len(self._as_told())
        further = before + self._look_further([*held[before:], *packets]) - len(held)
        if further < 0:
            return 0
        self._held, self._may_hold = None, False
        return further

    def _is_known(self, held: list[bytes]) -> bool:
        """Whether this is all that was told of some directory."""
        for candidate in self._kept.alike(fingerprint(held)):
            replay = _replay(candidate)
            if replay is not None and replay.same_again(held) == len(held) and replay.is_same:
                self._near, self._held = _Compared(candidate, replay), None
                return True
        return False

    def _look_further(self, packets: Sequence[bytes]) -> int:
        """How many of these packets come next in another directory that was told as this one is up
        to here: the one that goes on for longest."""
        before, longest = self._as_told(), 0
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
        target, near = await self.writable(), self._near
        if near is None or target.id != self.near_id or not near.is_as_it_was:
            return _receiver(target, "metadata", None), self.replayed("")
        return _receiver(target, "metadata", near.replay), self.replayed(target.id)

    def replayed(self, id: str) -> list[bytes]:
        """What has come that was not told of the directory of this id."""
        came = self._as_told() if self._held is None else self._held
        return came[self._near.replay.count :] if self._near and id == self.near_id else came

    @property
    def near_id(self) -> str:
        """The id of the directory that it is, or is most like; empty for none."""
        return self._near.candidate.id if self._near is not None else ""

    async def writable(self) -> KeptTarget:
        await self._wanted.wait()
        return await self._kept.writable(self.near_id)

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
        pack=target.pack,
    )


def _mark(path: str) -> tuple[int, int, int] | None:
    """What tells a file from others that were there before or after it; None of no file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _size_bytes(candidate: KeptCandidate) -> int:
    try:
        return os.stat(candidate.state).st_size
    except FileNotFoundError:
        return 0


def _replay(candidate: KeptCandidate) -> Replay | None:
    return Replay.load(candidate.state, candidate.index)
