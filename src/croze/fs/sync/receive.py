"""The receiving end of the file-transfer protocol (fsutil `receive.go`), without the wire.

The sender lists entries; an entry's number in the list is its id. The receiver says for each
whether it wants the content; the sender gives it in chunks. Session code carries this over gRPC:
STAT, REQ, DATA, FIN. `Entry.mode` is Unix `st_mode`; the wire has `entry.go_mode`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Literal

import msgspec

from croze.errors import InvalidRequest
from croze.fs.content import digest
from croze.fs.content.index import ContentIndex
from croze.fs.entry import Entry
from croze.fs.filecopy import write_all
from croze.fs.sync.attributes import set_attributes
from croze.fs.sync.incoming import GATHERED_BYTES, IncomingFile
from croze.fs.sync.late import new_mirror
from croze.fs.sync.mirror import (
    Mirror,
    MirroredEntry,
    OrderCheck,
    ReplacedDirs,
    SyncResult,
    clear,
    continued_index,
    forget_state,
    load_notes,
    read_mirrored,
    save_state,
    vanished,
)
from croze.fs.sync.replay import Replay, fingerprint
from croze.fs.tree.walk import walk_stats

_ALL_HELD_BYTES = 16 << 20
"""How much of all files together, however many of them have begun."""
_PIECE_BYTES = 250
"""What a piece takes besides its bytes."""


class Receiver:
    """Makes `dest` equal to what a sender lists. Call from one thread at a time.

    With `state_file` the directory is ours alone: what it holds is known from the last time, and
    with `differ="metadata"` unchanged files are not asked for again. `index_file` gets its
    `ContentIndex`. Without `state_file` it is somebody's (a client's export): everything is asked
    for, and `merge` keeps what is there besides; `merge=False` removes it at the end. `owner`
    overrides the entries'.
    """

    def __init__(
        self,
        dest: str,
        *,
        state_file: str | None = None,
        index_file: str | None = None,
        merge: bool = False,
        differ: Literal["metadata", "none"] = "metadata",
        owner: tuple[int, int] | None = None,
        replay: Replay | None = None,
        pack: str | None = None,
    ) -> None:
        """`replay`: the notes in `state_file`, and what has come already, all as the last time.
        `pack`: for a new directory, which may be written later from that file (`fs.sync.late`)."""
        self._dest = dest.rstrip("/")
        self._state_file = state_file
        self._index_file = index_file
        self._merge = merge
        self._differ = differ
        self._owner = owner
        self._pack = pack
        self._order = OrderCheck()
        self._started = time.time_ns()
        notes = load_notes(state_file) if replay is None else replay.notes
        if notes is not None and index_file and not os.path.exists(index_file):
            notes = None
        # The last time: notes that are unread as long as all comes as it came then, and what they
        # hold.
        self._notes = notes
        self._replayed = 0 if replay is None else replay.count
        """How many entries, from the first, have come as the last time without being read."""
        self._last_packets: Sequence[bytes] = []
        self._last_numbers: dict[bytes, int] = {}
        """Where in `_last_entries` a packet's entry is."""
        self._last_entries: list[MirroredEntry] = []
        self._not_again: dict[str, MirroredEntry] = {}
        """Entries of the last time that have not come yet, by path."""
        # This time.
        self._replaced = ReplacedDirs()
        self._index: ContentIndex | None = None
        self._mirror: Mirror | None = None
        """None before the first change."""
        self._entries: list[Entry] = []
        self._packets: list[bytes] = []
        self._digests: dict[str, bytes] = {}
        self._incoming: dict[int, IncomingFile] = {}
        """Files on their way, by the number of their entry."""
        self._held_bytes = 0
        self._by_path: dict[str, IncomingFile] = {}
        """The same ones, by their paths."""
        self._changed = self._removed = self._bytes = 0
        if notes is None:
            self._begin()
            if state_file is not None:
                clear(self._dest)
        elif differ == "none":
            self._read_notes()

    # -- what is as it was --

    def recall(self, packets: Sequence[bytes], start: int) -> int:
        """How many packets from `start` on tell of entries that have not changed, in the same
        words as the last time, wherever that was. For them all is done."""
        if self._notes is not None:
            self._read_notes()
        if not self._last_numbers:
            return 0
        at = start
        while at < len(packets):
            number = self._last_numbers.get(packets[at])
            if number is None:
                break
            mirrored = self._last_entries[number]
            if mirrored.entry.linkname or mirrored.entry.path not in self._not_again:
                break
            self._order.check(mirrored.entry)
            self._keep(self._not_again.pop(mirrored.entry.path), packets[at])
            at += 1
        return at - start

    def _read_notes(self) -> None:
        """Something is not as it was: go on entry by entry."""
        assert self._notes is not None
        notes, self._notes = self._notes, None
        self._last_packets = notes.packets
        try:
            self._last_entries = read_mirrored(notes)
        except (msgspec.DecodeError, RecursionError):
            forget_state(self._state_file)
            raise InvalidRequest("the notes of the last transfer are unreadable") from None
        self._not_again = {mirrored.entry.path: mirrored for mirrored in self._last_entries}
        for mirrored, packet in zip(
            self._last_entries[: self._replayed], notes.packets, strict=False
        ):
            self._order.check(mirrored.entry)
            self._keep(self._not_again.pop(mirrored.entry.path), packet)
        if self._differ == "metadata" and len(notes.packets) == len(self._last_entries):
            self._last_numbers = {packet: number for number, packet in enumerate(notes.packets)}

    def _keep(self, mirrored: MirroredEntry, packet: bytes) -> None:
        self._entries.append(mirrored.entry)
        self._packets.append(packet)
        self._digests[mirrored.entry.path] = mirrored.digest

    # -- what comes --

    def _begin(self) -> Mirror:
        """Before the first change: what was noted does not hold from here on, until the end. Where
        nothing changes, the notes and the index stay as they are."""
        if self._mirror is None:
            forget_state(self._state_file)
            if self._index_file:
                self._index = continued_index(self._index_file, self._last_entries)
            is_theirs = self._state_file is None
            self._mirror = new_mirror(self._dest, self._index, self._pack, theirs=is_theirs)
        return self._mirror

    def stat(self, entry: Entry, packet: bytes = b"") -> int | None:
        """The next entry, told by `packet`. Returns its id if the content is wanted. Raises
        InvalidRequest."""
        if self._notes is not None:
            self._read_notes()
        self._order.check(entry)
        number = len(self._entries)
        if self._owner is not None:
            entry = msgspec.structs.replace(entry, uid=self._owner[0], gid=self._owner[1])
        self._entries.append(entry)
        self._packets.append(packet)
        old = self._not_again.pop(entry.path, None)
        if old is not None and old.entry.is_dir and not entry.is_dir:
            self._replaced.add(entry.path)
        first = self._by_path.get(entry.linkname) if entry.is_file else None
        if first is not None:
            first.links.append((entry, old))
            return None
        same = old is not None and self._same(entry, old.entry)
        if old is not None and same and (self._differ == "metadata" or not entry.is_file):
            self._digests[entry.path] = old.digest
            return None
        if old is not None and same and not entry.linkname:
            return self._expect(number, IncomingFile(entry, old.digest))
        self._changed += 1
        self._begin()
        if entry.is_file and not entry.linkname:
            return self._expect(number, IncomingFile(entry, None))
        self._make(entry)
        return None

    def _expect(self, number: int, incoming: IncomingFile) -> int:
        self._incoming[number] = self._by_path[incoming.entry.path] = incoming
        return number

    def _make(self, entry: Entry) -> None:
        """What needs no content. A hard link counts with the digest of its file."""
        self._begin().put(entry)
        if entry.is_file:
            self._record(entry, self._digests[entry.linkname])
        else:
            self._record(entry, digest.begin(entry).digest())

    def _same(self, entry: Entry, old: Entry) -> bool:
        if entry == old and not entry.linkname:
            return True
        if entry.is_dir != old.is_dir:
            return False
        if not entry.is_dir and (entry.size, entry.mtime_ns) != (old.size, old.mtime_ns):
            return False
        if entry.is_file and entry.linkname and entry.linkname not in self._digests:
            return False  # the file it is a link to is new, so the link must be made again
        return (
            entry.mode, entry.uid, entry.gid, entry.devmajor, entry.devminor, entry.linkname,
        ) == (old.mode, old.uid, old.gid, old.devmajor, old.devminor, old.linkname)  # fmt: skip

    def data(self, number: int, data: bytes | memoryview) -> None:
        """A piece of the content of entry `number`. Raises InvalidRequest for wrong numbers."""
        incoming = self._get(number)
        size = len(data)
        self._bytes += size
        incoming.held.append(data)
        incoming.held_bytes += size
        self._held_bytes += size + _PIECE_BYTES
        if incoming.held_bytes > incoming.most_bytes or self._held_bytes > _ALL_HELD_BYTES:
            self._differs(incoming)
            self._write_held(incoming)

    def _differs(self, incoming: IncomingFile) -> None:
        """The content is not what was there."""
        if incoming.old is not None:
            incoming.old = None
            self._changed += 1

    def end(self, number: int) -> None:
        """All of the content of entry `number` has come."""
        incoming = self._get(number)
        if incoming.fd >= 0 and incoming.held:
            self._write_held(incoming)
        entry, value = incoming.entry, incoming.digest()
        del self._incoming[number], self._by_path[entry.path]
        is_new = value != incoming.old or incoming.fd >= 0
        if is_new:
            self._differs(incoming)
            if incoming.fd >= 0:
                self._close(incoming)
            else:
                self._begin().put_file(entry, self._let_go(incoming))
            self._record(entry, value)
        else:
            self._let_go(incoming)
            self._digests[entry.path] = value
        for link, old in incoming.links:
            if old is not None and not is_new and self._same(link, old.entry):
                self._digests[link.path] = value
            else:
                self._changed += 1
                self._make(link)

    def _close(self, incoming: IncomingFile) -> None:
        fd, incoming.fd = incoming.fd, -1
        try:
            set_attributes(fd, incoming.entry)
        finally:
            os.close(fd)

    def _get(self, number: int) -> IncomingFile:
        try:
            return self._incoming[number]
        except KeyError:
            raise InvalidRequest(f"invalid file request {number}") from None

    def _write_held(self, incoming: IncomingFile) -> None:
        """Write what is held, in one piece: hashing and writing let other threads have their turn
        each time, and that costs more than to put the pieces together."""
        if incoming.fd < 0:
            mirror = self._begin()
            file = mirror.put(incoming.entry)
            assert file is not None
            incoming.fd = mirror.open(incoming.entry, file)
            incoming.most_bytes = GATHERED_BYTES
        held = self._let_go(incoming)
        data = held[0] if len(held) == 1 else b"".join(held)
        incoming.sums = incoming.sums or digest.begin(incoming.entry)
        incoming.sums.update(data)
        write_all(incoming.fd, data)

    def _let_go(self, incoming: IncomingFile) -> Sequence[bytes | memoryview]:
        """What was held."""
        held, incoming.held = incoming.held, []
        self._held_bytes -= incoming.held_bytes + _PIECE_BYTES * len(held)
        incoming.held_bytes = 0
        return held

    def _record(self, entry: Entry, value: bytes) -> None:
        self._digests[entry.path] = value
        self._begin().record(entry, value)

    @property
    def wanted(self) -> int:
        """How many files are still on their way."""
        return len(self._incoming)

    def finish(self) -> SyncResult:
        """After the last entry and the last content: remove the rest, set times, save notes."""
        try:
            return self._finished()
        finally:
            self._order.close()

    def _finished(self) -> SyncResult:
        if self._incoming:
            raise InvalidRequest(f"file transfer ended with {len(self._incoming)} files missing")
        if self._notes is not None:
            self._read_notes()
        self._remove_rest()
        if self._mirror is None:
            if self._packets != self._last_packets and all(self._packets):
                self._save()  # the next time they need not be read
            return self._result()
        times = {entry.path: entry.mtime_ns for entry in self._entries if entry.is_dir}
        self._mirror.finish(times)
        self._mirror.close()
        if self._index_file and self._index is not None:
            (self._index if self._entries else ContentIndex()).save(self._index_file)
        self._save()
        return self._result()

    def _result(self) -> SyncResult:
        tells = "" if self._state_file is None else fingerprint(self._packets)
        is_late = self._mirror is not None and self._mirror.is_late
        counts = self._changed, self._removed, self._bytes
        return SyncResult(*counts, len(self._entries), tells, is_late)

    def _save(self) -> None:
        if self._state_file is None:
            return
        mirrored = [MirroredEntry(entry, self._digests[entry.path]) for entry in self._entries]
        packets = self._packets if all(self._packets) else ()
        save_state(self._state_file, self._started, mirrored, packets)

    def _remove_rest(self) -> None:
        if self._merge:
            return
        gone = list(self._not_again)
        if self._state_file is None:
            sent = {entry.path for entry in self._entries}
            gone = [path for path, _, _ in walk_stats(self._dest) if path not in sent]
        for path in vanished(gone, self._replaced):
            self._begin().remove(path)
            self._removed += 1

    def abort(self) -> None:
        """Close what is open. The next transfer into the directory starts anew."""
        for incoming in self._incoming.values():
            if incoming.fd >= 0:
                os.close(incoming.fd)
        self._incoming.clear()
        self._order.close()
        if self._mirror is not None:
            self._mirror.close()
