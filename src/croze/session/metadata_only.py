"""Receive what a directory holds without most of its contents (`local.metadatatransfer`).

All entries are listed in a file at the root; only those that the filter wants come as files, in
their directories. The file's format is fsutil's (`receive.go`): for each entry its `Stat`, after
its size in four bytes, little endian.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from croze.fs.entry import Entry
from croze.fs.sync.listing_memory import ListingMemory
from croze.session.transfer import Sink, to_stat

LISTING = ".fsutil-metadata"

T = TypeVar("T")


class MetadataSink(Generic[T]):
    """A `Sink` that writes a listing of all entries, and receives the files whose paths `is_wanted`
    alone, into `files`."""

    def __init__(self, root: Path, files: Sink[T], is_wanted: Callable[[str], bool]) -> None:
        self._root = root
        self._files = files
        self._wanted = is_wanted
        self._listing = bytearray()
        self._memory = ListingMemory()
        self._seen = 0
        self._inner: dict[int, int] = {}
        self._parents: list[Entry] = []
        """Directories above the entry that nobody has wanted anything of yet."""

    def recall(self, packets: Sequence[bytes], start: int) -> int:
        """See `Sink.recall`: everything is listed anew."""
        return 0

    def stat(self, entry: Entry, packet: bytes) -> int | None:
        number = self._seen
        self._seen += 1
        if entry.path == LISTING:
            return None
        self._memory.add(entry)
        data = to_stat(entry).SerializeToString(deterministic=True)
        self._listing += len(data).to_bytes(4, "little") + data
        while self._parents and not entry.path.startswith(f"{self._parents[-1].path}/"):
            self._parents.pop()
        if not self._wanted(entry.path):
            if entry.is_dir:
                self._parents.append(entry)
            return None
        for parent in self._parents:
            self._files.stat(parent, b"")
        self._parents.clear()
        inner = self._files.stat(entry, packet)
        if inner is None:
            return None
        self._inner[number] = inner
        return number

    def data(self, id: int, data: bytes | memoryview) -> None:
        self._files.data(self._inner[id], data)

    def end(self, id: int) -> None:
        self._files.end(self._inner[id])

    def finish(self) -> T:
        result = self._files.finish()
        listing = self._root / LISTING
        listing.write_bytes(self._listing)
        listing.chmod(0o644)  # the daemon's own files are nobody else's
        self._memory.close()
        return result

    def abort(self) -> None:
        self._memory.close()
        self._files.abort()
