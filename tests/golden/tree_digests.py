"""`contenthash/NAME.{json,tar}`: content digests of a tree, scanned and as a transfer leaves it."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from croze.errors import CrozeError
from croze.fs.content import digest
from croze.fs.content.checksum import ContentIndex, Query, query_digest
from croze.fs.tar.apply import apply_layer
from croze.fs.temporary import temporary_directory
from croze.fs.tree.walk import walk
from tests.golden.case import Case
from tests.golden.difference import differences


def cases(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.json")):
        if path.with_suffix(".tar").is_file():
            corpus = json.loads(path.read_bytes())
            if isinstance(corpus, dict) and "queries" in corpus:
                yield Case("contenthash", path.stem, partial(_check, path, corpus["queries"]))


def _check(path: Path, queries: list[dict[str, Any]]) -> list[str]:
    with temporary_directory("golden") as root:
        os.chmod(root, 0o755)
        _unpack(path.with_suffix(".tar"), Path(root))
        lines: list[str] = []
        sent = _transferred(root)
        for entry in queries:
            query = _query(entry)
            scanned = entry.get("digest") or entry["error"]
            lines += differences(scanned, _answer(ContentIndex(), root, query), f"scan {query}")
            moved = entry.get("transfer_digest") or entry.get("transfer_error") or scanned
            lines += differences(moved, _answer(sent, root, query), f"transfer {query}")
        return lines


def _unpack(archive: Path, root: Path) -> None:
    """Layers don't set the root's attributes, but the recorded trees have some."""
    apply_layer(str(archive), "", str(root))
    with tarfile.open(archive) as tar:
        first = tar.next()
    if first is None or first.name not in (".", "./", ""):
        return
    os.chown(root, first.uid, first.gid)
    root.chmod(first.mode)
    for key, value in first.pax_headers.items():
        if key.startswith("SCHILY.xattr."):
            os.setxattr(root, key.removeprefix("SCHILY.xattr."), value.encode())


def _query(entry: dict[str, Any]) -> Query:
    return Query(
        entry["path"],
        entry.get("followLinks", False),
        entry.get("wildcard", False),
        tuple(entry.get("includePatterns", ())),
        tuple(entry.get("excludePatterns", ())),
        tuple(entry.get("requiredPaths", ())),
    )


def _answer(index: ContentIndex, root: str, query: Query) -> str:
    try:
        return query_digest(index, root, query)
    except CrozeError as err:
        return str(err).replace(root, "<root>")


def _transferred(root: str) -> ContentIndex:
    """The index as a file transfer would leave it."""
    index = ContentIndex.for_transfer()
    digests: dict[str, bytes] = {}
    for entry in walk(root):
        sums = digest.begin(entry)
        if entry.is_file and not entry.linkname and entry.size:
            sums.update(Path(root, entry.path).read_bytes())
        target_digest = digests.get(entry.linkname) if not entry.is_link else None
        digests[entry.path] = target_digest or sums.digest()
        index.add(entry, digests[entry.path])
    return index if digests else ContentIndex()
