"""What a sender told of a tree the last time, compared with what it tells now: in its own words.

The packets of the last transfer are kept with its notes. While the same ones come, nothing has
changed, and none of them needs to be read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from itertools import islice
from typing import Final, Self

import msgspec

from croze.fs.sync.mirror import SyncNotes, load_notes

FEW_BYTES: Final = 256 << 10
"""As much of packets is held as can be read without a thread."""
_NOTHING_KNOWN = b"\x90"
"""An empty list in MessagePack."""


def fingerprint(packets: Sequence[bytes]) -> str:
    """Tells whole lists apart that are short enough to be held; empty for others, and for what
    nobody told in packets."""
    if not all(packets) or sum(map(len, packets)) > FEW_BYTES:
        return ""
    return hashlib.sha256(msgspec.msgpack.encode(packets)).hexdigest()


class Replay:
    """The packets of a directory's last transfer, and how far the present one repeats them."""

    def __init__(self, notes: SyncNotes) -> None:
        self.notes = notes
        self.count = 0
        """How many packets have come so far, all as the last time."""

    @classmethod
    def load(cls, state_file: str, index_file: str) -> Self | None:
        """What is known of the last transfer; None if there is nothing to compare with: no notes
        that can be trusted, or no packets in them."""
        notes = load_notes(state_file)
        if notes is None or not os.path.exists(index_file):
            return None
        return cls(notes) if notes.packets or bytes(notes.mirrored) == _NOTHING_KNOWN else None

    def same_again(self, packets: Sequence[bytes]) -> int:
        """How many of these packets, from the first, came at this place the last time."""
        start, count = self.count, len(packets)
        if packets != self.notes.packets[start : start + count]:
            count = _equal(packets, self.notes.packets, start)
        self.count += count
        return count

    @property
    def is_same(self) -> bool:
        """Whether all has come that came the last time."""
        return self.count == len(self.notes.packets)


def _equal(some: Sequence[bytes], others: Sequence[bytes], start: int) -> int:
    """How many of `some` are the same as `others` from `start` on."""
    count = 0
    for one, other in zip(some, islice(others, start, None), strict=False):
        if one != other:
            break
        count += 1
    return count
