"""Brings a directory of this machine over: the local context's fast path.

One walk of the source, compared with what the last run noted; only what differs is read, and is
hashed while it is copied. The notes are dropped before the first change and written after the last,
so an interrupted run is followed by a full one.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import msgspec

from croze.fs.content import digest
from croze.fs.content.index import ContentIndex
from croze.fs.entry import Entry
from croze.fs.failures import about, explained
from croze.fs.filecopy import write_all
from croze.fs.root import open_beneath
from croze.fs.sync.attributes import set_xattrs
from croze.fs.sync.late import new_mirror
from croze.fs.sync.mirror import (
    SMALL_BYTES,
    Mirror,
    MirroredEntry,
    ReplacedDirs,
    SyncResult,
    SyncState,
    clear,
    continued_index,
    forget_state,
    load_state,
    save_state,
    vanished,
)
from croze.fs.tree.walk import WalkOptions, make_entry, select

if TYPE_CHECKING:
    from hashlib import _Hash

_CHUNK = 1 << 20
_RACY_NS = 20_000_000
"""A file changed this shortly before a run may have changed again within one clock tick."""


class SyncOptions(msgspec.Struct, frozen=True):
    """What to bring over and where to keep notes."""

    walk: WalkOptions = WalkOptions()
    index_file: str | None = None
    """Gets the checksum `ContentIndex` of the destination."""
    state_file: str | None = None
    """The notes for the next run, kept with the destination; without it every run is a full one."""
    reread: bool = False
    """Read every file, whatever is noted of it: a change that its times don't tell counts, too."""
    pack: str | None = None
    """For a new directory, which may be written later from that file (`fs.sync.late`)."""


class _Differs(Exception):
    """Something is not as it was, after so many entries that are."""


class Looked(msgspec.Struct, frozen=True):
    """What a look at a directory has told: whether it is as it was, and how many of its entries
    are, from the first."""

    same: bool
    entries: int = 0


def look(source: str, options: SyncOptions) -> Looked:
    """Whether `sync` would have nothing to do. It ends with the first thing that it would have to,
    and writes nothing. Raises as `walk` does."""
    with explained("sync", source):
        root = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _Sync(source.rstrip("/"), root, "", options, looking=True).run()
            return Looked(same=True)
        except _Differs as differs:
            return Looked(same=False, entries=differs.args[0])
        finally:
            os.close(root)


def sync(source: str, dest: str, options: SyncOptions = SyncOptions()) -> SyncResult:  # noqa: B008
    """Make `dest` equal to what `options.walk` selects of `source`, all owned by root.

    Nobody else may write to `dest`. Raises as `walk` does; the next run then starts anew.
    """
    with explained("sync", source, dest):
        root = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            run = _Sync(source.rstrip("/"), root, dest, options)
            try:
                return run.run()
            finally:
                run.close()
        finally:
            os.close(root)


class _Sync:
    def __init__(
        self, source: str, root: int, dest: str, options: SyncOptions, *, looking: bool = False
    ) -> None:
        """`looking`: raise `_Differs` rather than change anything."""
        self._source = source
        self._root = root
        self._dest = dest
        self._options = options
        self._looking = looking
        self._started = time.time_ns()
        state = load_state(options.state_file)
        if state is not None and options.index_file and not os.path.exists(options.index_file):
            state = None
        self._state = state or SyncState(0, 0, [])
        self._fresh = state is None
        self._old = {mirrored.entry.path: mirrored for mirrored in self._state.mirrored}
        self._replaced = ReplacedDirs()
        self._mirror: Mirror | None = None
        self._index: ContentIndex | None = None
        self._digests: dict[str, bytes] = {}
        self._changed = self._bytes = 0

    def run(self) -> SyncResult:
        mirrored: list[MirroredEntry] = []
        noted = False
        racy = self._state.started_ns - _RACY_NS
        seen: dict[tuple[int, int], str] = {}
        for path, full, st in select(self._source, self._options.walk):
            old = self._old.pop(path, None)
            same = old if old and st.st_ctime_ns < racy and _looks_same(old.entry, st) else None
            if same is not None and not self._holds(same):
                same = None
            if same is not None and (st.st_nlink == 1 or same.entry.is_dir):
                mirrored.append(same)
                continue
            entry = make_entry(path, full, st, seen)
            if entry is None:
                if old is not None:
                    self._old[path] = old
                continue
            if same is not None and same.entry.linkname == entry.linkname:
                mirrored.append(same)
                continue
            if self._looking:
                raise _Differs(len(mirrored))
            noted = True
            mirrored.append(self._update(entry, old))
        removed = self._remove_rest()
        if self._mirror is not None or noted or self._fresh:
            self._finish(mirrored)
        is_late = self._mirror is not None and self._mirror.is_late
        return SyncResult(self._changed, removed, self._bytes, len(mirrored), is_late=is_late)

    def close(self) -> None:
        if self._mirror is not None:
            self._mirror.close()

    def _holds(self, mirrored: MirroredEntry) -> bool:
        """Whether a file that looks the same is the same."""
        if not (self._options.reread and mirrored.entry.is_file and not mirrored.entry.linkname):
            return True
        return self._source_digest(mirrored.entry) == mirrored.digest

    def _update(self, entry: Entry, old: MirroredEntry | None) -> MirroredEntry:
        """Bring over an entry that may differ."""
        target = _owned_by_root(entry)
        if old is not None and self._still_equal(entry, old):
            # Touched, but not changed in what is kept.
            return MirroredEntry(entry, old.digest)
        mirror = self._begin()
        self._changed += 1
        if old is not None and old.entry.is_dir and not entry.is_dir:
            self._replaced.add(entry.path)
        if entry.is_file and not entry.linkname:
            value = self._copy(target, mirror)
        else:
            mirror.put(target)
            first = self._digest_of(entry.linkname) if entry.is_file else None
            value = first or digest.begin(target).digest()
        self._digests[entry.path] = value
        mirror.record(target, value)
        return MirroredEntry(entry, value)

    def _still_equal(self, entry: Entry, old: MirroredEntry) -> bool:
        was = old.entry
        if (entry.mode, entry.linkname, entry.devmajor, entry.devminor, entry.xattrs) != (
            was.mode, was.linkname, was.devmajor, was.devminor, was.xattrs,
        ):  # fmt: skip
            return False
        if entry.is_dir:
            return True
        if entry.size != was.size or entry.mtime_ns != was.mtime_ns:
            return False
        if not entry.is_file:
            return True
        if entry.linkname:
            return entry.linkname not in self._digests
        return self._source_digest(entry) == old.digest

    def _source_digest(self, entry: Entry) -> bytes:
        sums = digest.begin(_owned_by_root(entry))
        fd = self._open(entry)
        if fd is not None:
            try:
                while data := self._read(fd, entry, _CHUNK):
                    sums.update(data)
            finally:
                os.close(fd)
        return sums.digest()

    def _digest_of(self, path: str) -> bytes | None:
        return self._digests.get(path) or self._indexed(path)

    def _indexed(self, path: str) -> bytes | None:
        node = self._index.get(path) if self._index is not None and path else None
        return node.digest if node is not None else None

    def _read(self, fd: int, entry: Entry, size: int) -> bytes:
        try:
            return os.read(fd, size)
        except OSError as error:
            raise about(f"{self._source}/{entry.path}", error) from None

    def _open(self, entry: Entry) -> int | None:
        """The source file; None for what is empty by definition: sockets, and what has gone since
        it was listed (fsutil `send.go`)."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            # Who lends the directory may put links in it meanwhile: the kernel sees that they
            # don't lead out of it.
            return open_beneath(self._root, entry.path, flags)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            path = f"{self._source}/{entry.path}"
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                return None
            raise about(path, error) from None

    def _copy(self, entry: Entry, mirror: Mirror) -> bytes:
        """Copy and hash in one go."""
        sums = digest.begin(entry)
        source = self._open(entry)
        try:
            data = self._read(source, entry, SMALL_BYTES) if source is not None else b""
            sums.update(data)
            self._bytes += len(data)
            # A read that gives less is no end: FUSE and /proc give what they have at hand.
            if source is None or not data or len(data) == entry.size < SMALL_BYTES:
                mirror.put_file(entry, (data,) if data else ())
            else:
                self._copy_large(entry, mirror, source, data, sums)
        finally:
            if source is not None:
                os.close(source)
        return sums.digest()

    def _copy_large(
        self, entry: Entry, mirror: Mirror, source: int, data: bytes, sums: _Hash
    ) -> None:
        """The rest of a file that begins with `data`."""
        target = mirror.create_file(entry)
        try:
            write_all(target, data)
            while data := self._read(source, entry, _CHUNK):
                sums.update(data)
                write_all(target, data)
                self._bytes += len(data)
            os.fchmod(target, stat.S_IMODE(entry.mode))
            set_xattrs(target, entry)
            os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(target)

    def _begin(self) -> Mirror:
        """Before the first change."""
        if self._looking:
            raise _Differs(0)
        if self._mirror is None:
            forget_state(self._options.state_file)
            self._index = continued_index(self._options.index_file, self._state.mirrored)
            if self._fresh:
                clear(self._dest)
            self._mirror = new_mirror(self._dest, self._index, self._options.pack)
        return self._mirror

    def _remove_rest(self) -> int:
        """Remove what was there and did not come again; returns how much, counting a tree once."""
        removed = list(vanished(self._old, self._replaced))
        for path in removed:
            self._begin().remove(path)
        return len(removed)

    def _finish(self, mirrored: list[MirroredEntry]) -> None:
        mirror = self._begin() if self._fresh else self._mirror
        if mirror is not None:
            mirror.finish({k.entry.path: k.entry.mtime_ns for k in mirrored if k.entry.is_dir})
            if self._options.index_file and self._index is not None:
                if not mirrored:
                    self._index = ContentIndex()  # nothing came: counts as never transferred
                self._index.save(self._options.index_file)
        if self._options.state_file:
            save_state(self._options.state_file, self._started, mirrored)


def _looks_same(entry: Entry, st: os.stat_result) -> bool:
    """Whether it is what was there: any change, of attributes too, gives another ctime, but for one
    within a tick of its file system's clock, which may be seconds."""
    return (
        entry.ctime_ns == st.st_ctime_ns
        and entry.ino == st.st_ino
        and entry.mtime_ns == st.st_mtime_ns
        and entry.mode == st.st_mode
        and entry.dev == st.st_dev
        and (entry.size == st.st_size or not entry.is_file)
    )


def _owned_by_root(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, uid=0, gid=0) if entry.uid or entry.gid else entry
