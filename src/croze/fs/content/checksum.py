"""Content digests of paths in a tree: what cache keys of inputs are made of.

The rules are BuildKit's contenthash, as written down in the golden `cache/README.md`, section 1:
a plain path gives the digest of what is there (all below it for a directory); with a wildcard or
patterns the answer is a digest over the flat list of what they select.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

import msgspec

from croze.errors import InvalidRequest, NotFound
from croze.fs.content import digest
from croze.fs.content.index import DIR, FILE, LINK, ContentIndex, IndexNode, TreeScanner
from croze.fs.failures import TooManyLinks, explained
from croze.fs.match.patterns import MatchState, matcher_of
from croze.fs.paths import base, rooted, split_wildcards
from croze.fs.root import MAX_LINKS
from croze.gotypes import glob
from croze.gotypes.quote import quote

__all__ = ["ContentIndex", "Query", "checksum", "query_digest"]


class Query(msgspec.Struct, frozen=True):
    """What to take the digest of."""

    path: str = "/"
    follow_links: bool = False
    wildcard: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    required_paths: Sequence[str] = ()


def checksum(root: str, side_file: str | None, queries: Sequence[Query]) -> list[str]:
    """The digests for `queries` in the tree at `root`.

    What is known of the tree is kept in `side_file` (made on first use, written atomically), so
    that nothing is listed or read twice; the tree must not change meanwhile. Raises NotFound
    (`"/x": not found`) and InvalidRequest; what was learnt until then is kept.
    """
    index = (ContentIndex.load(side_file) if side_file else None) or ContentIndex()
    try:
        with explained("lstat", root):
            return [query_digest(index, root, query) for query in queries]
    finally:
        if side_file and index.changed:
            index.save(side_file)


def checksum_listed(side_file: str, queries: Sequence[Query]) -> list[str] | None:
    """The digests that `checksum` gives, of a tree whose files are not there yet. None if the file
    does not know all about it, or a link leads in circles: then they have to be looked at."""
    index = ContentIndex.load(side_file)
    if index is None or not index.complete:
        return None
    try:
        return [query_digest(index, os.devnull, query) for query in queries]
    except (OSError, TooManyLinks):
        return None
    finally:
        if index.changed:
            index.save(side_file)


def query_digest(index: ContentIndex, root: str, query: Query) -> str:
    """The digest for one query, filling `index` from `root` where it is needed."""
    lookup = NodeLookup(index, root)
    if query.wildcard or query.include or query.exclude:
        return SelectedNodes(lookup, query).digest()
    return digest.text(lookup.total(key_path(query.path), follow=query.follow_links))


def key_path(path: str) -> str:
    """A path of a query as indexes have it: rooted and clean, the root itself empty."""
    path = rooted(path)
    return "" if path == "/" else path


class DigestPart(msgspec.Struct, frozen=True):
    """An entry whose digest another is made of."""

    key: bytes
    """Its name, as it is hashed before the digest."""
    digest: bytes
    where: bytes
    node: IndexNode
    whole: bool = True
    """Whether the digest is of all below it as well."""


def parts(index: ContentIndex, root: str, query: Query) -> list[DigestPart]:
    """What the digest for a query is the digest of; one without a key, if it is that of an entry.
    `index` knows the answer already."""
    lookup = NodeLookup(index, root)
    if query.wildcard or query.include or query.exclude:
        return SelectedNodes(lookup, query).parts()
    path = os.fsencode(key_path(query.path))
    where, node = lookup.find(path, follow=query.follow_links, strict=False)
    return (
        [DigestPart(b"", lookup.scanner.total(node, where), where, node)]
        if node is not None
        else []
    )


class NodeLookup:
    """Finds nodes by path, links resolved inside the tree."""

    def __init__(self, index: ContentIndex, root: str) -> None:
        self._index = index
        self._root = root
        self.scanner = TreeScanner(index, root)

    def total(self, path: str, *, follow: bool, strict: bool = True) -> bytes:
        where, node = self.find(os.fsencode(path), follow=follow, strict=strict)
        if node is None:
            raise NotFound(f"{quote(path or '/')}: not found")
        return self.scanner.total(node, where)

    def find(self, path: bytes, *, follow: bool, strict: bool) -> tuple[bytes, IndexNode | None]:
        """Where `path` really is and its node. With `strict` a file used as a directory is an
        error as long as not all of the tree is known."""
        trail: list[tuple[bytes, IndexNode | None]] = []
        todo = [part for part in reversed(path.split(b"/")) if part]
        links = 0
        while todo:
            part = todo.pop()
            if part in (b".", b".."):
                if part == b".." and trail:
                    trail.pop()
                continue
            above = trail[-1][1] if trail else self._index.root
            node = self._child(above, trail, part, strict=strict)
            if node is None or node.kind != LINK or not (follow or todo):
                trail.append((part, node))
                continue
            links += 1
            if links > MAX_LINKS:
                raise TooManyLinks
            if node.link.startswith(b"/"):
                trail.clear()
            todo.extend(part for part in reversed(node.link.split(b"/")) if part)
        where = b"".join(b"/" + name for name, _ in trail)
        return where, trail[-1][1] if trail else self._index.root

    def _child(
        self,
        above: IndexNode | None,
        trail: list[tuple[bytes, IndexNode | None]],
        name: bytes,
        *,
        strict: bool,
    ) -> IndexNode | None:
        if above is None:
            return None
        path = b"".join(b"/" + part for part, _ in trail)
        if above.kind == DIR:
            return self.scanner.children(above, path).get(name)
        if above.kind == FILE and strict and not self._index.complete:
            full = os.fsdecode(path + b"/" + name)
            raise InvalidRequest(f"lstat {self._root}/{full}: not a directory")
        return None


class _Item:
    """Something on the way of the walk that may be listed."""

    __slots__ = ("excluded", "follow", "included", "listed", "node", "path", "where")

    def __init__(self, path: str, where: bytes, node: IndexNode, follow: bool) -> None:
        self.path = path
        self.where = where
        self.node = node
        self.follow = follow
        self.listed = False
        self.included: MatchState | None = None
        self.excluded: MatchState | None = None


def _key(item: _Item, prefix: str) -> bytes:
    return os.fsencode(item.path.removeprefix(prefix)).replace(b"/", b"\0") or b"\0"


class SelectedNodes:
    """The flat list that wildcards and patterns select."""

    def __init__(self, lookup: NodeLookup, query: Query) -> None:
        self._lookup = lookup
        self._query = query
        self._path = key_path(query.path)
        self._skip_header = query.path.endswith("/")
        self._include = matcher_of(query.include, "include")
        self._exclude = matcher_of(query.exclude, "exclude")
        self._listed: list[_Item] = []
        self._parents: list[_Item] = []
        self._matched_dir = ""
        self._deepest = self._depth_limit()

    def _depth_limit(self) -> int | None:
        """How deep the wildcard can match; None if there is no telling (classes match slashes)."""
        if not self._query.wildcard or "[" in self._path or not self._path:
            return None
        return self._path.count("/")

    def by_path(self) -> dict[str, IndexNode]:
        """The list itself."""
        self._walk()
        return {item.path: item.node for item in self._listed}

    def digest(self) -> str:
        prefix = self._walk()
        for required in self._query.required_paths:
            if not any(item.path.startswith(required) for item in self._listed):
                raise NotFound(f"{quote(required)}: not found")
        digests = self._digests()
        if not digests:
            return digest.text(digest.EMPTY)
        if len(digests) == 1 and base(self._query.path) == base(self._listed[0].path):
            return digest.text(digests[0])
        sums = hashlib.sha256()
        for item, value in zip(self._listed, digests, strict=True):
            sums.update(_key(item, prefix) + digest.text(value).encode())
        return digest.text(sums.digest())

    def parts(self) -> list[DigestPart]:
        """What `digest` is made of: of a directory its header alone, of a link that is followed
        all that it leads to."""
        prefix = self._walk()
        listed = zip(self._listed, self._digests(), strict=True)
        return [self._part(item, value, prefix) for item, value in listed]

    def _part(self, item: _Item, value: bytes, prefix: str) -> DigestPart:
        where, node = item.where, item.node
        whole = item.follow and node.kind == LINK
        if whole:
            where, target = self._lookup.find(os.fsencode(item.path), follow=True, strict=False)
            node = target or node
        return DigestPart(_key(item, prefix), value, where, node, whole)

    def _digests(self) -> list[bytes]:
        scanner = self._lookup.scanner
        plain = [item for item in self._listed if not (item.follow and item.node.kind == LINK)]
        scanner.hash_missing([(item.node, item.where) for item in plain])
        return [
            self._lookup.total(item.path, follow=True, strict=False)
            if item.follow and item.node.kind == LINK
            else item.node.digest
            for item in self._listed
        ]

    def _walk(self) -> str:
        """Fill the list; returns the asked path's part before any wildcard."""
        head, follow = self._path, False
        if self._query.wildcard:
            head, tail = split_wildcards(self._path)
            head = "" if head == "/" else head
            follow = bool(tail)
        where, node = self._lookup.find(os.fsencode(head), follow=follow, strict=False)
        if node is not None:
            for item, is_header in self._visit(head, where, node):
                self._consider(item, is_header=is_header)
        return head

    def _visit(self, path: str, where: bytes, node: IndexNode) -> Iterator[tuple[_Item, bool]]:
        """Everything from `node` down; a directory comes twice, as itself and as its header."""
        item = _Item(path, where, node, follow=False)
        yield item, False
        if node.kind != DIR:
            return
        item = _Item(path, where, node, follow=False)
        yield item, True
        if self._prunes(item):
            return
        for name, child in self._lookup.scanner.ordered(node, where):
            below = f"{path}/{os.fsdecode(name)}"
            yield from self._visit(below, where + b"/" + name, child)

    def _prunes(self, item: _Item) -> bool:
        """Whether nothing below a directory just considered can be listed."""
        inside = self._parents and self._parents[-1] is item
        if inside:
            exclude = self._exclude
            hit = exclude is not None and item.excluded is not None and any(item.excluded)
            return hit and exclude is not None and not exclude.has_exclusions
        if self._deepest is None or self._skip_header:
            return False
        return not self._matched_dir and item.path.count("/") >= self._deepest

    def _consider(self, item: _Item, *, is_header: bool) -> None:
        path = item.path
        while self._parents and not path.startswith(self._parents[-1].path + "/"):
            self._parents.pop()
        if is_header and path == self._path and self._skip_header:
            return
        parent = self._parents[-1] if self._parents else None
        item.follow = parent is None and self._query.follow_links
        if self._query.wildcard:
            if not self._matches(path):
                return
            below = self._matched_dir
        else:
            below = self._path
        candidate = (path + "/").removeprefix(below + "/").removesuffix("/")
        selected = self._selected(item, candidate, parent)
        if item.node.kind == DIR and not is_header:
            return  # only headers are listed: contents may be excluded in part
        if selected:
            for above in self._parents:
                if not above.listed:
                    above.listed = True
                    self._listed.append(above)
            item.listed = True
            self._listed.append(item)
        if is_header:
            self._parents.append(item)

    def _matches(self, path: str) -> bool:
        """Whether the wildcard matches the path or matched a directory above."""
        if not self._path:
            return True
        if self._matched_dir and path.startswith(self._matched_dir + "/"):
            return True
        if not glob.match(self._path, path):
            return False
        self._matched_dir = path
        return True

    def _selected(self, item: _Item, candidate: str, parent: _Item | None) -> bool:
        if self._include is not None:
            above = parent.included if parent else None
            hit, item.included = self._include.walk_match(candidate, above)
            if not hit:
                return False
        if self._exclude is not None:
            above = parent.excluded if parent else None
            hit, item.excluded = self._exclude.walk_match(candidate, above)
            return not hit
        return True
