"""Content digests against what BuildKit recorded, for scanned and for transferred trees."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from croze.errors import CrozeError
from croze.fs.content import digest
from croze.fs.content.checksum import ContentIndex, Query, checksum, query_digest
from croze.fs.tar.apply import apply_layer
from croze.fs.tree.walk import walk

DATA = Path(__file__).parent.parent / "golden/data/cache/contenthash"
TREES = sorted(path.stem for path in DATA.glob("*.json"))

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trees")
    for name in TREES:
        target = root / name
        target.mkdir()
        apply_layer(str(DATA / f"{name}.tar"), "", str(target))
        _set_root(target, DATA / f"{name}.tar")
    return root


def _set_root(target: Path, archive: Path) -> None:
    """Layers don't set the root's attributes, but the recorded trees have some."""
    import os

    with tarfile.open(archive) as tar:
        first = tar.next()
        assert first is not None
        assert first.name in (".", "./", "")
        os.chown(target, first.uid, first.gid)
        target.chmod(first.mode)
        for key, value in first.pax_headers.items():
            if key.startswith("SCHILY.xattr."):
                os.setxattr(target, key.removeprefix("SCHILY.xattr."), value.encode())


def read_query(case: dict[str, Any]) -> Query:
    return Query(
        case["path"],
        case.get("followLinks", False),
        case.get("wildcard", False),
        tuple(case.get("includePatterns", ())),
        tuple(case.get("excludePatterns", ())),
        tuple(case.get("requiredPaths", ())),
    )


def answer(index: ContentIndex, root: str, query: Query) -> str:
    try:
        return query_digest(index, root, query)
    except CrozeError as error:
        return str(error).replace(root, "<root>")


def transferred(root: str) -> ContentIndex:
    """The index as a file transfer would leave it."""
    index = ContentIndex.for_transfer()
    digests: dict[str, bytes] = {}
    for entry in walk(root):
        sums = digest.begin(entry)
        if entry.is_file and not entry.linkname and entry.size:
            sums.update(Path(root, entry.path).read_bytes())
        value = digests.get(entry.linkname) if not entry.is_link else None
        digests[entry.path] = value or sums.digest()
        index.add(entry, digests[entry.path])
    if not digests:
        return ContentIndex()
    return index


@pytest.mark.parametrize("name", TREES)
def test_scanned(name: str, trees: Path) -> None:
    root = str(trees / name)
    for case in json.loads((DATA / f"{name}.json").read_bytes())["queries"]:
        query = read_query(case)
        assert answer(ContentIndex(), root, query) == (case.get("digest") or case["error"]), query


@pytest.mark.parametrize("name", TREES)
def test_transferred(name: str, trees: Path) -> None:
    root = str(trees / name)
    index = transferred(root)
    for case in json.loads((DATA / f"{name}.json").read_bytes())["queries"]:
        want = case.get("transfer_digest") or case.get("transfer_error")
        query = read_query(case)
        assert answer(index, root, query) == (want or case.get("digest") or case["error"]), query


@pytest.mark.parametrize("name", TREES)
def test_saved_index_answers_without_the_tree(name: str, trees: Path, tmp_path: Path) -> None:
    root, side = str(trees / name), str(tmp_path / "index")
    cases = json.loads((DATA / f"{name}.json").read_bytes())["queries"]
    good = [case for case in cases if "digest" in case]
    queries = [read_query(case) for case in good]
    assert checksum(root, side, queries) == [case["digest"] for case in good]
    assert checksum(str(tmp_path / "gone"), side, queries) == [case["digest"] for case in good]
