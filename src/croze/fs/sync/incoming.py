"""A file that comes in pieces, before and while it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from croze.fs.content import digest
from croze.fs.entry import Entry
from croze.fs.sync.mirror import SMALL_BYTES, MirroredEntry

if TYPE_CHECKING:
    from hashlib import _Hash

_HELD_BYTES: Final = 1 << 20
"""How much is held back of a file that may be what is there already."""
GATHERED_BYTES: Final = 256 << 10
"""How much is held of a file that is being written before it is worth the call. More of several
files would not be in the processor's cache any more."""


class IncomingFile:
    """A file whose content is on its way. What is small is `held` until it can be made at once;
    with `old`, the digest of what is there, until it turns out to differ, or to be too much. Of
    what is not, so much is held that writing it is worth the call."""

    __slots__ = ("entry", "fd", "held", "held_bytes", "links", "most_bytes", "old", "sums")

    def __init__(self, entry: Entry, old: bytes | None) -> None:
        self.entry = entry
        self.sums: _Hash | None = None
        """The hash of what has been written."""
        self.fd = -1
        self.old = old
        self.links: list[tuple[Entry, MirroredEntry | None]] = []
        """Hard links to it, each with what is there of that name. They are made when it is: which
        file is linked to is not known before, as what is there may stay."""
        self.held: list[bytes | memoryview] = []
        self.held_bytes = 0
        self.most_bytes = SMALL_BYTES if old is None else _HELD_BYTES
        """How much is held."""

    def digest(self) -> bytes:
        """The entry's, with all that has come of it, which is written or held."""
        if self.sums is not None:
            return self.sums.digest()
        return digest.whole(self.entry, self.held)
