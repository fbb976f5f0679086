"""Both ends of the file-transfer protocol (fsutil `send.go`, `receive.go`), without the wire.

The sender lists entries; an entry's number in the list is its id. The receiver says for each
whether it wants the content; the sender gives it in chunks. Session code carries this over gRPC:
STAT, REQ, DATA, FIN. `Entry.mode` is Unix `st_mode`; the wire has `entry.go_mode`.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from croze.errors import InvalidRequest
from croze.fs.content import digest
from croze.fs.content.index import Index
from croze.fs.entry import Entry
from croze.fs.filecopy import write_all
from croze.fs.sync.mirror import (
    Mirror,
    MirroredEntry,
    OrderCheck,
    SyncResult,
    clear,
    forget_state,
    load_state,
    save_state,
    set_attributes,
)
from croze.fs.tree.walk import WalkOptions, walk, walk_stats

if TYPE_CHECKING:
    from hashlib import _Hash

_CHUNK = 32 << 10


class Sender:
    """Lists a tree and reads its files. `reset_owner` sends all as root's, as clients do with a
    build's context."""

    def __init__(
        self,
        root: str,
        options: WalkOptions = WalkOptions(),  # noqa: B008
        *,
        reset_owner: bool = False,
        mtime_ns: int | None = None,
    ) -> None:
        self._root = root.rstrip("/")
        self._options = options
        self._reset_owner = reset_owner
        self._mtime_ns = mtime_ns
        self._files: dict[int, str] = {}

    def entries(self) -> Iterator[Entry]:
        """The entries in order; the n-th has id n (from 0)."""
        for number, entry in enumerate(walk(self._root, self._options)):
            if entry.has_content:
                self._files[number] = entry.path
            if self._reset_owner:
                entry = msgspec.structs.replace(entry, uid=0, gid=0)
            if self._mtime_ns is not None:
                entry = msgspec.structs.replace(entry, mtime_ns=self._mtime_ns)
            yield entry

    def chunks(self, number: int) -> Iterator[bytes]:
        """The content of entry `number`, asked for once; none for what is gone meanwhile. The
        protocol ends it with an empty DATA packet. Raises InvalidRequest for wrong numbers."""
        path = self._files.pop(number, None)
        if path is None:
            raise InvalidRequest(f"invalid file id {number}")
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(f"{self._root}/{path}", flags)
        except OSError:
            return
        try:
            while data := os.read(fd, _CHUNK):
                yield data
        finally:
            os.close(fd)


class _Incoming:
    """A file whose content is on its way."""

    __slots__ = ("entry", "fd", "sums")

    def __init__(self, entry: Entry, sums: _Hash) -> None:
        self.entry = entry
        self.sums = sums
        self.fd = -1


class Receiver:
    """Makes `dest` equal to what a sender lists. Call from one thread at a time.

    With `state_file` the directory is ours alone: what it holds is known from the last time, and
    with `differ="metadata"` unchanged files are not asked for again. `index_file` gets its checksum
    `Index`. Without `state_file` everything is asked for, and `merge` keeps what is there besides
    (a client's export); `merge=False` removes it at the end. `owner` overrides the entries'.
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
    ) -> None:
        self._dest = dest.rstrip("/")
        self._state_file = state_file
        self._index_file = index_file
        self._merge = merge
        self._differ = differ
        self._owner = owner
        self._order = OrderCheck()
        self._started = time.time_ns()
        state = load_state(state_file)
        if state is not None and index_file and not os.path.exists(index_file):
            state = None
        self._known = state.known if state is not None else []
        self._old = {known.entry.path: known for known in self._known}
        self._index: Index | None = None
        self._changing: Mirror | None = None
        self._entries: list[Entry] = []
        self._digests: dict[str, bytes] = {}
        self._incoming: dict[int, _Incoming] = {}
        self._links: dict[str, list[Entry]] = {}
        self._counts = [0, 0, 0]
        if state is None:
            self._begin()
            if state_file is not None:
                clear(self._dest)

    def _begin(self) -> Mirror:
        """Before the first change: what was noted does not hold from here on, until the end. Where
        nothing changes, the notes and the index stay as they are."""
        if self._changing is None:
            forget_state(self._state_file)
            if self._index_file:
                self._index = Index.load(self._index_file) if self._known else None
                if self._index is None:
                    self._index = Index.for_transfer()
                    for known in self._known:  # the index was unreadable, the notes are not
                        self._index.add(known.entry, known.digest)
            self._changing = Mirror(self._dest, self._index)
        return self._changing

    def stat(self, entry: Entry) -> int | None:
        """The next entry. Returns its id if the content is wanted. Raises InvalidRequest."""
        self._order.check(entry)
        number = len(self._entries)
        if self._owner is not None:
            entry = msgspec.structs.replace(entry, uid=self._owner[0], gid=self._owner[1])
        self._entries.append(entry)
        old = self._old.pop(entry.path, None)
        if old is not None and self._differ == "metadata" and self._same(entry, old.entry):
            self._digests[entry.path] = old.digest
            return None
        self._counts[0] += 1
        if old is not None and old.entry.is_dir and not entry.is_dir:
            prefix = entry.path + "/"
            self._old = {p: k for p, k in self._old.items() if not p.startswith(prefix)}
        self._begin().put(entry)
        if not entry.is_file:
            self._record(entry, digest.begin(entry).digest())
            return None
        if entry.linkname:
            self._record_link(entry)
            return None
        self._incoming[number] = _Incoming(entry, digest.begin(entry))
        return number

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

    def data(self, number: int, data: bytes) -> None:
        """A piece of the content of entry `number`. Raises InvalidRequest for wrong numbers."""
        incoming = self._get(number)
        if incoming.fd < 0:
            incoming.fd = self._open(incoming.entry)
        incoming.sums.update(data)
        write_all(incoming.fd, data)
        self._counts[2] += len(data)

    def end(self, number: int) -> None:
        """All of the content of entry `number` has come."""
        incoming = self._get(number)
        del self._incoming[number]
        entry = incoming.entry
        if incoming.fd >= 0:
            try:
                set_attributes(incoming.fd, entry)
            finally:
                os.close(incoming.fd)
        self._record(entry, incoming.sums.digest())
        for link in self._links.pop(entry.path, ()):
            self._record(link, self._digests[entry.path])

    def _get(self, number: int) -> _Incoming:
        try:
            return self._incoming[number]
        except KeyError:
            raise InvalidRequest(f"invalid file request {number}") from None

    def _open(self, entry: Entry) -> int:
        """The empty file that `stat` made, for writing even if its mode forbids that."""
        path = self._begin().host(entry.path)
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(path, flags)
        except PermissionError:
            os.chmod(path, stat.S_IMODE(entry.mode) | 0o200)
            return os.open(path, flags)

    def _record(self, entry: Entry, value: bytes) -> None:
        self._digests[entry.path] = value
        self._begin().record(entry, value)

    def _record_link(self, entry: Entry) -> None:
        """A hard link counts with the digest of its file, which may still be on its way."""
        value = self._digests.get(entry.linkname)
        if value is None:
            self._links.setdefault(entry.linkname, []).append(entry)
        else:
            self._record(entry, value)

    @property
    def wanted(self) -> int:
        """How many files are still on their way."""
        return len(self._incoming)

    def finish(self) -> SyncResult:
        """After the last entry and the last content: remove the rest, set times, save notes."""
        if self._incoming:
            raise InvalidRequest(f"file transfer ended with {len(self._incoming)} files missing")
        self._remove_rest()
        if self._changing is None:
            return SyncResult(0, 0, 0, len(self._entries))
        times = {entry.path: entry.mtime_ns for entry in self._entries if entry.is_dir}
        self._changing.finish(times)
        if self._index_file and self._index is not None:
            index = self._index if self._entries else Index()
            index.save(self._index_file)
        if self._state_file:
            known = [MirroredEntry(entry, self._digests[entry.path]) for entry in self._entries]
            save_state(self._state_file, self._started, known)
        return SyncResult(self._counts[0], self._counts[1], self._counts[2], len(self._entries))

    def _remove_rest(self) -> None:
        if self._merge:
            return
        gone = list(self._old)
        if self._state_file is None:
            sent = {entry.path for entry in self._entries}
            gone = [path for path, _, _ in walk_stats(self._dest) if path not in sent]
        last = "/"
        for path in gone:
            if not path.startswith(last):
                self._begin().remove(path)
                last = path + "/"
                self._counts[1] += 1

    def abort(self) -> None:
        """Close what is open. The next transfer into the directory starts anew."""
        for incoming in self._incoming.values():
            if incoming.fd >= 0:
                os.close(incoming.fd)
        self._incoming.clear()
