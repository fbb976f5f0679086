"""Several trees and small files as one, for the file-transfer protocol."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.fs.entry import Entry, below
from croze.session.transfer import SentTree


class StaticFile(Struct, frozen=True):
    """A file that is nowhere on disk."""

    name: str
    data: bytes
    mode: int = 0o600


class TreePart(Struct, frozen=True):
    """One platform's tree. `folder` empty: at the top. `label` names it in errors."""

    label: str
    tree: SentTree
    files: Sequence[StaticFile] = ()
    folder: str = ""
    mtime_ns: int | None = None
    """For the small files and the folder."""


class _Static:
    """The small files of a part, as a source."""

    def __init__(self, files: Sequence[StaticFile], mtime_ns: int) -> None:
        self._files = sorted(files, key=lambda each: each.name)
        self._mtime_ns = mtime_ns

    def entries(self) -> Iterator[Entry]:
        for each in self._files:
            mode = stat.S_IFREG | each.mode
            yield Entry(each.name, mode, 0, 0, len(each.data), self._mtime_ns)

    def chunks(self, id: int) -> Iterator[bytes]:
        yield self._files[id].data


class MergedTree:
    """What `session.filesend.send_dir` sends. `mtime_ns` is for what has no time of its own."""

    def __init__(self, parts: Sequence[TreePart], *, mtime_ns: int) -> None:
        self._parts = parts
        self._mtime_ns = mtime_ns
        self._where: list[tuple[SentTree, int]] = []
        self._owners: dict[str, str] = {}

    def entries(self) -> Iterator[Entry]:
        """The entries, in the protocol's order; directories that several trees have come once."""
        streams = [stream for part in self._parts for stream in self._streams(part)]
        last = None
        for _, label, source, id, entry in merge(*streams, key=lambda item: item[0]):
            directory = stat.S_ISDIR(entry.mode)
            if entry.path == last and directory:
                continue
            last = entry.path
            if not directory:
                self._claim(entry.path, label)
            self._where.append((source, id))
            yield entry

    def chunks(self, id: int) -> Iterator[bytes]:
        source, own = self._where[id]
        return source.chunks(own)

    def _claim(self, path: str, label: str) -> None:
        other = self._owners.setdefault(path, label) if len(self._parts) > 1 else label
        if other != label:
            raise InvalidRequest(
                f"cannot overwrite {path} from {other} with {label} when split option is disabled"
            )

    def _time_of(self, part: TreePart) -> int:
        return self._mtime_ns if part.mtime_ns is None else part.mtime_ns

    def _streams(self, part: TreePart) -> Iterable[Iterator[_Item]]:
        """Small files go over those of the tree."""
        names = {each.name for each in part.files}
        yield (i for i in self._stream(part, part.tree) if names.isdisjoint(_below(part, i)))
        if part.files:
            yield self._stream(part, _Static(part.files, self._time_of(part)))
        if part.folder:
            top = Entry(part.folder, stat.S_IFDIR | 0o755, 0, 0, 0, part.mtime_ns or 0)
            yield iter([(_order(part.folder), part.label, part.tree, -1, top)])

    def _stream(self, part: TreePart, source: SentTree) -> Iterator[_Item]:
        for id, entry in enumerate(source.entries()):
            placed = below(entry, part.folder)
            yield _order(placed.path), part.label, source, id, placed


_Item = tuple[tuple[bytes, ...], str, SentTree, int, Entry]


def _below(part: TreePart, item: _Item) -> tuple[str]:
    """The path of an item in the part's own tree."""
    path = item[4].path
    return (path.removeprefix(f"{part.folder}/") if part.folder else path,)


def _order(path: str) -> tuple[bytes, ...]:
    return tuple(part.encode(errors="surrogateescape") for part in path.split("/"))
