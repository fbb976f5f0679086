"""Which files differ between two trees, told from what was noted of them (`content.index`) alone.

Nothing is read or listed on disk: the trees may be gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from croze.fs.content.checksum import NodeLookup, Query, SelectedNodes, key_path
from croze.fs.content.index import DIR, ContentIndex, IndexNode, TreeScanner
from croze.gotypes.strings import escaped

Kind = Literal["added", "removed", "changed", "mode"]
_MODE: Final = 4


class FileChange(msgspec.Struct, frozen=True, order=True):
    """One file, its name in valid text. `mode`: only its permissions (or type) differ, as far as
    was noted."""

    path: str
    kind: Kind


class Changes(msgspec.Struct, frozen=True):
    """How trees differ: the first few files in order of their paths, and how many there are of how
    many."""

    files: tuple[FileChange, ...] = ()
    count: int = 0
    total: int = 0


class _Known(TreeScanner):
    """Fills nothing in."""

    def children(self, node: IndexNode, path: bytes) -> dict[bytes, IndexNode]:
        return node.children or {}

    def hash_missing(self, items: list[tuple[IndexNode, bytes]]) -> None:
        pass


def changed_files(old: str, new: str, queries: Sequence[Query], limit: int) -> Changes | None:
    """How the trees whose indexes are saved at `old` and `new` differ in what `queries` select.
    None if an index is not there any more."""
    before, after = ContentIndex.load(old), ContentIndex.load(new)
    if before is None or after is None:
        return None
    changes: set[FileChange] = set()
    total = 0
    for query in queries:
        one, two = _selected(before, query), _selected(after, query)
        total += sum(1 for node in two.values() if node.kind != DIR)
        changes.update(_compare(one, two))
    ordered = sorted(changes)
    return Changes(tuple(ordered[:limit]), len(ordered), total)


def _selected(index: ContentIndex, query: Query) -> dict[str, IndexNode]:
    """All that a query selects, by path."""
    lookup = NodeLookup(index, "/nonexistent")
    lookup.scanner = _Known(index, "/nonexistent")
    if query.wildcard or query.include or query.exclude:
        nodes = SelectedNodes(lookup, query).by_path()
        return {_shown(path): node for path, node in nodes.items()}
    path = os.fsencode(key_path(query.path))
    where, node = lookup.find(path, follow=query.follow_links, strict=False)
    return dict(_below(node, where)) if node is not None else {}


def _below(node: IndexNode, where: bytes) -> Iterator[tuple[str, IndexNode]]:
    stack = [(node, where)]
    while stack:
        current, path = stack.pop()
        yield _shown(os.fsdecode(path)), current
        stack.extend((child, path + b"/" + name) for name, child in current.ordered())


def _shown(path: str) -> str:
    return path.strip("/") or "."


def _compare(old: dict[str, IndexNode], new: dict[str, IndexNode]) -> Iterator[FileChange]:
    for path, node in new.items():
        before = old.get(path)
        if before is None:
            if node.kind != DIR or not node.children:
                yield FileChange(_named(path, node), "added")
        elif before.kind != node.kind:
            yield FileChange(_named(path, node), "changed")
        elif before.digest and node.digest and before.digest != node.digest:
            yield FileChange(_named(path, node), _how(before, node))
    for path, node in old.items():
        if path not in new and (node.kind != DIR or not node.children):
            yield FileChange(_named(path, node), "removed")


def _named(path: str, node: IndexNode) -> str:
    return escaped(f"{path}/" if node.kind == DIR else path)


def _how(old: IndexNode, new: IndexNode) -> Kind:
    """A directory's digest is of its permissions; a file's stamp tells if nothing else changed."""
    if old.kind == DIR:
        return "mode"
    if old.stamp is None or new.stamp is None:
        return "changed"
    same = old.stamp[:2] == new.stamp[:2] and old.stamp[_MODE] != new.stamp[_MODE]
    return "mode" if same else "changed"
