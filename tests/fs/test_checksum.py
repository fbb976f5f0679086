"""What the checksum index remembers, and when it forgets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from croze.errors import InvalidRequest, NotFound
from croze.fs.content import digest
from croze.fs.content.checksum import ContentIndex, Query, checksum, query_digest
from croze.fs.entry import lstat_entry
from tests.fs import trees

ALL = Query("/")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return trees.make(
        tmp_path / "t",
        {
            "a": "1",
            "d/b": "2",
            "d/e/c": "3",
            "l": ("->", "d/b"),
            "big": "x" * 400_000,
            "big2": "y" * 400_000,
        },
    )


def test_only_what_is_asked_for_is_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    of_path = digest.of_path

    def spy(path: str, st: os.stat_result) -> bytes:
        read.append(os.path.relpath(path, tree))
        return of_path(path, st)

    monkeypatch.setattr(digest, "of_path", spy)
    index = ContentIndex()
    query_digest(index, str(tree), Query("/d/e"))
    assert sorted(read) == ["d/e", "d/e/c"]
    read.clear()
    query_digest(index, str(tree), Query("/", include=("d/*",), exclude=("d/e",)))
    assert sorted(read) == ["d", "d/b"]
    read.clear()
    assert query_digest(index, str(tree), Query("/d")) == query_digest(
        index, str(tree), Query("/d")
    )
    assert read == []


def test_refresh_sees_every_change(tree: Path) -> None:
    index = ContentIndex()
    before = query_digest(index, str(tree), ALL)

    def now() -> str:
        index.refresh(str(tree))
        found = query_digest(index, str(tree), ALL)
        assert found == checksum(str(tree), None, [ALL])[0]
        return found

    assert now() == before
    seen = {before}
    steps = (
        lambda: (tree / "d/e/c").write_text("changed"),
        lambda: (tree / "d/e/new").write_text("n"),
        lambda: (tree / "a").unlink(),
        lambda: (tree / "a").mkdir(),
        lambda: (tree / "d/e/new").chmod(0o711),
        lambda: (tree / "l").unlink(),
        lambda: (tree / "l").symlink_to("a"),
        lambda: (tree / "d").rename(tree / "z"),
    )
    for step in steps:
        step()
        found = now()
        assert found not in seen
        seen.add(found)


def test_adding_after_asking(tree: Path) -> None:
    index = ContentIndex.for_transfer()
    (tree / "x").mkdir()
    for name in ("x", "x/1", "x/2"):
        if name != "x":
            (tree / name).write_text(name)
        entry = lstat_entry(str(tree / name), name)
        sums = digest.begin(entry)
        sums.update(b"" if entry.is_dir else name.encode())
        before = query_digest(index, str(tree), ALL)
        index.add(entry, sums.digest())
        assert query_digest(index, str(tree), ALL) != before
    assert query_digest(index, "/gone", Query("/x")) == checksum(str(tree), None, [Query("/x")])[0]
    index.remove("x/1")
    with pytest.raises(NotFound, match=r'^"/x/1": not found$'):
        query_digest(index, "/gone", Query("x/1"))


def test_a_damaged_side_file_is_ignored(tree: Path, tmp_path: Path) -> None:
    side = tmp_path / "side"
    want = checksum(str(tree), str(side), [ALL])
    data = side.read_bytes()
    for bad in (b"", b"junk", data[: len(data) // 2]):
        side.write_bytes(bad)
        assert checksum(str(tree), str(side), [ALL]) == want
    assert side.read_bytes() == data
    assert sorted(os.listdir(tmp_path)) == ["side", "t"]


@pytest.mark.parametrize("query", [Query("/d/k", exclude=("x",)), Query("/d/*", wildcard=True)])
def test_a_link_through_a_file_leads_nowhere(tree: Path, query: Query) -> None:
    """Recorded from BuildKit: of a path alone it tells `lstat`'s error, of a list it does not."""
    (tree / "d/k").symlink_to("b/x")
    with pytest.raises(NotFound, match=r'"/d/k": not found'):
        query_digest(ContentIndex(), str(tree), replace(query, follow_links=True))
    with pytest.raises(InvalidRequest, match=r"lstat .*/d/b/x: not a directory"):
        query_digest(ContentIndex(), str(tree), Query("/d/k", follow_links=True))
