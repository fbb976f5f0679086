"""Small trees of many files, written when it is known already what is in them all.

A file takes longer to make than to receive, most of all where the file system is slow to find room
for it, and who only asks what is in a tree needs none. So what comes is gathered, and at the end
put into one file, the *pack*, from which the tree is made beside everything else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import msgspec

from croze.fs.content.index import ContentIndex
from croze.fs.entry import Entry
from croze.fs.failures import explained
from croze.fs.sync.attributes import MadeFile
from croze.fs.sync.mirror import Mirror

MOST_BYTES: Final = 4 << 20
"""More is not gathered: what has come is written, and the rest as it comes."""
FEWEST: Final = 16
"""So few entries are written soon enough."""
_ENTRY_BYTES = 256

_Packed = tuple[Entry, bytes]
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Packed])


def new_mirror(
    dest: str, index: ContentIndex | None, pack: str | None, *, theirs: bool = False
) -> Mirror:
    """What writes a directory, ours or `theirs`; with a pack, of a new one of ours, later."""
    if pack is None:
        return Mirror(dest, index, theirs=theirs)
    return LateMirror(dest, index, pack)


class LateMirror(Mirror):
    """Writes a new directory later, but for large files: when this is finished, `is_late` says
    whether that is still to be done (`write_late`)."""

    def __init__(self, dest: str, index: ContentIndex | None, pack: str) -> None:
        super().__init__(dest, index)
        self._pack = pack
        self._gathered: list[_Packed] | None = []
        self._bytes = self._dirs = 0

    def place(self, path: str) -> tuple[int, str]:
        """See `Mirror.place`: all directories that have come are on the disk then."""
        gathered = self._gathered or ()
        first, self._dirs = self._dirs, len(gathered)
        for entry, _ in gathered[first:]:
            if entry.is_dir:
                super().put(entry)
        return super().place(path)

    def put(self, entry: Entry) -> MadeFile | None:
        """See `Mirror.put`; a file is made at once, as it is to be written to."""
        if self._gathered is None or (entry.is_file and not entry.linkname):
            return super().put(entry)
        self._gather(self._gathered, entry, b"")
        return None

    def put_file(self, entry: Entry, content: Sequence[bytes | memoryview]) -> None:
        if self._gathered is None:
            super().put_file(entry, content)
        else:
            self._gather(self._gathered, entry, b"".join(content))

    def _gather(self, gathered: list[_Packed], entry: Entry, content: bytes) -> None:
        gathered.append((entry, content))
        self._bytes += len(content) + _ENTRY_BYTES
        if self._bytes > MOST_BYTES:
            self._write_now()

    def _write_now(self) -> None:
        gathered, self._gathered = self._gathered, None
        for entry, content in gathered or ():
            _put(self, entry, content)

    def finish(self, known_times: dict[str, int]) -> None:
        if self._gathered is not None and len(self._gathered) >= FEWEST:
            self.is_late = self._save(self._gathered)
        if not self.is_late:
            self._write_now()
            super().finish(known_times)

    def _save(self, gathered: Sequence[_Packed]) -> bool:
        """False if there are names that can't be saved, as they are no UTF-8."""
        try:
            data = _encoder.encode(gathered)
        except UnicodeEncodeError:
            return False
        with open(self._pack, "wb") as file:
            file.write(data)
        return True


def write_late(dest: str, pack: str) -> None:
    """Make the new directory of what `LateMirror` has put into the pack, which is removed."""
    with explained("write", dest):
        with open(pack, "rb") as file:
            gathered = _decoder.decode(file.read())
        os.unlink(pack)
        mirror = Mirror(dest, None)
        try:
            for entry, content in gathered:
                _put(mirror, entry, content)
            mirror.finish({})
        finally:
            mirror.close()


def _put(mirror: Mirror, entry: Entry, content: bytes) -> None:
    if entry.is_file and not entry.linkname:
        mirror.put_file(entry, (content,) if content else ())
    else:
        mirror.put(entry)
