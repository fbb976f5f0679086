"""Makes a directory equal to a stream of entries: the common part of `sync` and `Receiver`.

Files are never written in place (layers may hold links to them): a changed file is a new one, moved
over the old. Entries must come in the walk's order with every parent as a directory before; that is
checked, so that no entry can reach through a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from croze.errors import InvalidRequest, PermissionDenied
from croze.fs.beneath import Beneath, is_directory_at, lstat_at
from croze.fs.content.index import ContentIndex
from croze.fs.entry import Entry, device_of
from croze.fs.filecopy import write_all
from croze.fs.paths import NO_NAMES
from croze.fs.remove import remove_at, remove_tree
from croze.fs.sync.attributes import MadeFile, held_at, set_attributes, set_attributes_at
from croze.fs.sync.listing_memory import ListingMemory


class SyncResult(msgspec.Struct, frozen=True):
    """What a synchronisation did."""

    changed: int = 0
    """Entries made or made anew."""
    removed: int = 0
    bytes: int = 0
    """Content that was copied or received."""
    files: int = 0
    """Entries in the tree now."""
    fingerprint: str = ""
    """What tells the list of it from others (`fs.sync.replay`); empty where nobody told one."""
    is_late: bool = False
    """The files are still to be written (`fs.sync.late`)."""


class MirroredEntry(msgspec.Struct, array_like=True, gc=False):
    """An entry that the directory has, and the digest it counts with."""

    entry: Entry
    digest: bytes


class SyncState(msgspec.Struct, array_like=True):
    """What the directory held after the last complete synchronisation."""

    version: int
    started_ns: int
    mirrored: list[MirroredEntry]


class SyncNotes(msgspec.Struct, array_like=True):
    """A `SyncState` that is only read if it is needed, and how it was told."""

    version: int
    started_ns: int
    mirrored: msgspec.Raw
    packets: list[bytes] = []
    """What the sender said of each entry, in its own words; empty if nobody sent them."""


S = TypeVar("S", SyncState, SyncNotes)

_VERSION = 2
"""With the first, files that were read in short pieces may be cut off."""
_decoder = msgspec.msgpack.Decoder(SyncState)
_notes_decoder = msgspec.msgpack.Decoder(SyncNotes)
_mirrored_decoder = msgspec.msgpack.Decoder(list[MirroredEntry])


def load_state(path: str | None) -> SyncState | None:
    """The saved state; None if there is none that can be trusted."""
    return _load(_decoder, path)


def load_notes(path: str | None) -> SyncNotes | None:
    """The saved state, with its list of entries unread until somebody wants it; None if there is
    none that can be trusted."""
    return _load(_notes_decoder, path)


def _load(decoder: msgspec.msgpack.Decoder[S], path: str | None) -> S | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            state = decoder.decode(file.read())
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
    return state if state.version == _VERSION else None


def read_mirrored(notes: SyncNotes) -> list[MirroredEntry]:
    """The entries that the notes tell of. Raises `msgspec.DecodeError`."""
    return _mirrored_decoder.decode(notes.mirrored)


def save_state(
    path: str, started_ns: int, mirrored: list[MirroredEntry], packets: Sequence[bytes] = ()
) -> None:
    """Write atomically. Names that are no UTF-8 can't be saved: then the next run starts anew."""
    try:
        raw = msgspec.Raw(msgspec.msgpack.encode(mirrored))
        data = msgspec.msgpack.encode(SyncNotes(_VERSION, started_ns, raw, list(packets)))
    except UnicodeEncodeError:
        return
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "wb") as file:
        file.write(data)
    os.replace(temporary, path)


def forget_state(path: str | None) -> None:
    """Remove the state: it is void from the first change on, until the next is complete."""
    if path is not None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return


def _is_odd(head: str, slash: str) -> bool:
    """Whether what is in front of a name is no path below a root."""
    return bool(slash) and not NO_NAMES.isdisjoint(head.split("/"))


class OrderCheck:
    """Refuses streams that are out of order, name what they have not shown, or don't end. `close`
    it when nothing of what came is needed any more."""

    def __init__(self) -> None:
        self._dirs: list[tuple[str, bytes]] = [("", b"")]
        """The directories above, each with the last name in it."""
        self._files: set[str] = set()
        self._memory = ListingMemory()

    def close(self) -> None:
        """Let other trees have the memory. Idempotent."""
        self._memory.close()

    def check(self, entry: Entry) -> None:
        """See that `entry` may come now: in order, in a directory that was shown, and with names
        that system calls take. Raises InvalidRequest, and ResourceExhausted for too many."""
        self._memory.add(entry)
        path = entry.path
        head, slash, name = path.rpartition("/")
        # What is in a directory that has come needs no look at all of its path.
        parent_checked = bool(head) and self._dirs[-1][0] == head
        odd = name in NO_NAMES or "\0" in name or "\0" in entry.linkname
        if odd or (not parent_checked and _is_odd(head, slash)):
            raise InvalidRequest(f"invalid path in file transfer: {path!r}")
        while self._dirs and self._dirs[-1][0] != head:
            self._dirs.pop()
        key = os.fsencode(name)
        if not self._dirs or self._dirs[-1][1] >= key:
            raise InvalidRequest(f"changes out of order: {path!r}")
        self._dirs[-1] = (head, key)
        if entry.is_dir:
            self._dirs.append((path, b""))
        elif entry.linkname and not entry.is_link:
            if entry.linkname not in self._files:
                raise InvalidRequest(f"invalid link {path} to unknown path: {entry.linkname!r}")
        elif not entry.is_link:
            self._files.add(path)


class ReplacedDirs:
    """Directories in whose place something else has come: what was below them went with them."""

    def __init__(self) -> None:
        self._paths: set[str] = set()

    def add(self, path: str) -> None:
        self._paths.add(path)

    def hold(self, path: str) -> bool:
        """Whether `path` was below one of them."""
        if not self._paths:
            return False
        return any(path[:at] in self._paths for at, char in enumerate(path) if char == "/")


def vanished(paths: Iterable[str], replaced: ReplacedDirs) -> Iterator[str]:
    """What to remove of `paths`, in the walk's order, that were there and have not come again: of a
    tree only its top, and nothing that went with a directory that was replaced."""
    top = "/"
    for path in paths:
        if not (path.startswith(top) or replaced.hold(path)):
            yield path
            top = path + "/"


def continued_index(index_file: str | None, mirrored: Sequence[MirroredEntry]) -> ContentIndex:
    """The index of a directory that has had `mirrored`, to be changed along with it: as it was
    saved, or made of those where that can't be read. Of an empty directory nothing is taken on:
    digests are the same whether it was ever empty or not."""
    index = ContentIndex.load(index_file) if index_file and mirrored else None
    if index is None:
        index = ContentIndex.for_transfer()
        for each in mirrored:
            index.add(each.entry, each.digest)
    return index


_Content: TypeAlias = Sequence[bytes | memoryview]
SMALL_BYTES = 64 << 10
"""A file that is made at once, with what it holds."""


class Mirror:
    """The directory being written, and its index. Others may write there, too, as where a client
    has its results: nothing is made, changed or removed but below it. `close` it at the end.

    Directories have the times of their entries at the end; of those that are `theirs`, only such as
    are made: those that were there before have the time of what happens in them (fsutil
    `diskwriter.go`).
    """

    is_late = False
    """Whether the directory is still to be written when this is finished."""

    def __init__(self, dest: str, index: ContentIndex | None, *, theirs: bool = False) -> None:
        self._beneath = Beneath(dest)
        self._theirs = theirs
        self._index = index
        self._dir_times: dict[str, int] = {}
        self._temporary = 0

    def close(self) -> None:
        """Close what is open. Idempotent."""
        self._beneath.close()

    def place(self, path: str) -> tuple[int, str]:
        """The directory that an entry is in, open, and its name there."""
        return self._beneath.place(path)

    def touch_parent(self, path: str) -> None:
        """Something changes in the parent of `path`; its time is set again at the end."""
        self._dir_times.setdefault(path.rpartition("/")[0], -1)

    def put(self, entry: Entry) -> MadeFile | None:
        """Make a directory, link, special file, or an empty file, which is `open` again for its
        content."""
        directory, name = self.place(entry.path)
        if entry.is_dir:
            self._put_dir(entry, directory, name)
            return None
        self.touch_parent(entry.path)
        return self._placed(entry, directory, name, None)

    def put_file(self, entry: Entry, content: _Content) -> None:
        """Make a file with all that it holds, in pieces."""
        directory, name = self.place(entry.path)
        self.touch_parent(entry.path)
        self._placed(entry, directory, name, content)

    def _put_dir(self, entry: Entry, directory: int, name: str) -> None:
        is_new = _made_dir(directory, name)
        if is_new:
            self.touch_parent(entry.path)
        if is_new or not self._theirs:
            self._dir_times[entry.path] = entry.mtime_ns
        set_attributes_at(directory, name, entry)

    def _make(
        self, entry: Entry, directory: int, name: str, content: _Content | None
    ) -> MadeFile | None:
        """Make it, a file with its content; without that it is an empty one, and told which."""
        if entry.linkname and entry.is_file:
            there, other = self.place(entry.linkname)
            os.link(other, name, src_dir_fd=there, dst_dir_fd=directory, follow_symlinks=False)
            return None
        if entry.is_file:
            fd = os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
            try:
                for piece in content or ():
                    write_all(fd, piece)
                set_attributes(fd, entry)
                return MadeFile.of(fd) if content is None else None
            finally:
                os.close(fd)
        if entry.is_link:
            os.symlink(entry.linkname, name, dir_fd=directory)
        else:
            device = device_of(entry.devmajor, entry.devminor)
            os.mknod(name, entry.mode, device, dir_fd=directory)
        set_attributes_at(directory, name, entry)
        return None

    def _placed(
        self, entry: Entry, directory: int, name: str, content: _Content | None
    ) -> MadeFile | None:
        """Make something of that name, over what is there."""
        try:
            return self._make(entry, directory, name, content)
        except FileExistsError:
            if is_directory_at(directory, name):
                remove_at(directory, name)
                return self._make(entry, directory, name, content)
        self._temporary += 1
        new = f".tmp.{os.getpid()}.{self._temporary}"
        try:
            file = self._make(entry, directory, new, content)
            os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
            if lstat_at(directory, new) is not None:
                os.unlink(new, dir_fd=directory)  # both were links of one file: nothing was done
            return file
        except BaseException:
            if lstat_at(directory, new) is not None:
                os.unlink(new, dir_fd=directory)
            raise

    def create_file(self, entry: Entry) -> int:
        """A new empty file at the entry's path, open for writing."""
        directory, name = self.place(entry.path)
        self.touch_parent(entry.path)
        try:
            return os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
        except FileExistsError:
            remove_at(directory, name)
            return os.open(name, _NEW_FILE, 0o600, dir_fd=directory)

    def open(self, entry: Entry, file: MadeFile) -> int:
        """The empty file that `put` has made, for writing even if its mode forbids that. Raises
        `PermissionDenied` if another one is in its place."""
        directory, name = self.place(entry.path)
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(name, flags, dir_fd=directory)
        except PermissionError:
            with held_at(directory, name, entry) as held:
                os.chmod(held, stat.S_IMODE(entry.mode) | 0o200)
                fd = os.open(held, os.O_WRONLY | os.O_CLOEXEC)
        if MadeFile.of(fd) != file:
            os.close(fd)
            raise PermissionDenied(f"{entry.path}: another file was put in its place meanwhile")
        return fd

    def remove(self, path: str) -> None:
        """Remove an entry with all below it."""
        remove_at(*self.place(path))
        self.touch_parent(path)
        if self._index is not None:
            self._index.remove(path)

    def record(self, entry: Entry, digest: bytes) -> None:
        if self._index is not None:
            self._index.add(entry, digest)

    def finish(self, known_times: dict[str, int]) -> None:
        """Set the times of directories in which something changed, as far as they are known."""
        for path, mtime_ns in self._dir_times.items():
            is_told = mtime_ns != -1 or self._theirs
            time = mtime_ns if is_told else known_times.get(path, mtime_ns)
            if path and time != -1:
                try:
                    directory, name = self.place(path)
                    os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)
                except FileNotFoundError:
                    continue


def _made_dir(directory: int, name: str) -> bool:
    """See that there is a directory of that name; whether it is new."""
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        if is_directory_at(directory, name):
            return False
        os.unlink(name, dir_fd=directory)
        os.mkdir(name, 0o700, dir_fd=directory)
    return True


_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def clear(directory: str) -> None:
    """Remove everything in a directory."""
    for name in os.listdir(directory):
        remove_tree(f"{directory.rstrip('/')}/{name}")
