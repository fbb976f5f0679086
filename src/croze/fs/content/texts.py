"""What content digests are made of: the answers of `checksum`, taken apart for people to compare.

Kinds and pieces are those that BuildKit notes (`cache/contenthash`): of a file what is hashed
before its content, and the content's size; of a directory and of what patterns select, names and
digests.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Literal

from croze.fs.content import digest
from croze.fs.content.checksum import ContentIndex, DigestPart, Query, parts, query_digest
from croze.fs.content.index import DIR, IndexNode
from croze.fs.entry import read_xattrs

Pieces = tuple[bytes | int, ...]
ContentText = tuple[str, Literal["file", "file-list"], Pieces]
"""The digest, its kind, and what was hashed; a number stands for so many bytes of content."""


def content_texts(root: str, side_file: str | None, queries: Sequence[Query]) -> list[ContentText]:
    """What is hashed for all that `checksum` answers for the same arguments; each digest once."""
    index = (ContentIndex.load(side_file) if side_file else None) or ContentIndex()
    texts: dict[str, ContentText] = {}
    for query in queries:
        answer = query_digest(index, root, query)
        found_parts = parts(index, root, query)
        if found_parts and found_parts[0].key and answer != digest.text(found_parts[0].digest):
            texts[answer] = (answer, "file-list", tuple(_listed(found_parts)))
        for part in found_parts:
            for text in _of_part(root, part):
                texts[text[0]] = text
    return list(texts.values())


def _listed(found_parts: Sequence[DigestPart]) -> Iterator[bytes]:
    for part in found_parts:
        yield part.key
        yield digest.text(part.digest).encode()


def _of_part(root: str, part: DigestPart) -> Iterator[ContentText]:
    if part.whole:
        yield from _of_node(root, part.where, part.node)
    else:
        yield _header(root, part.where, part.node)


def _of_node(root: str, where: bytes, node: IndexNode) -> Iterator[ContentText]:
    """The texts of an entry and of all below it."""
    if node.kind == DIR:
        yield digest.text(node.total), "file-list", (*_of_dir(node),)
        for name, child in node.ordered():
            yield from _of_node(root, where + b"/" + name, child)
    if node.digest != digest.EMPTY:
        yield _header(root, where, node)


def _of_dir(node: IndexNode) -> Iterator[bytes]:
    """The pieces of a directory's text, as `index.TreeScanner` adds them up."""
    yield b"\0"
    yield digest.text(node.digest).encode()
    for name, child in node.ordered():
        yield b"\0" + name
        yield digest.text(child.total if child.kind == DIR else child.digest).encode()
        if child.kind == DIR:
            yield from _high_names(child, b"\0" + name)


def _high_names(node: IndexNode, prefix: bytes) -> Iterator[bytes]:
    """See `index._sum_high_names`."""
    for name, child in node.ordered():
        if name[:1] == b"\xff":
            path = prefix + b"\0" + name
            yield path
            yield digest.text(child.total if child.kind == DIR else child.digest).encode()
            if child.kind == DIR:
                yield from _high_names(child, path)


def _header(root: str, where: bytes, node: IndexNode) -> ContentText:
    path = root.rstrip("/") + os.fsdecode(where) or "/"
    st = os.lstat(path)
    link = os.fsencode(os.readlink(path)) if stat.S_ISLNK(st.st_mode) else b""
    size = st.st_size if stat.S_ISREG(st.st_mode) else 0
    pieces = digest.header_pieces(st.st_mode, st.st_uid, st.st_gid, size, link, read_xattrs(path))
    return digest.text(node.digest), "file", (*pieces, size) if size else pieces
