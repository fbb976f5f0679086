"""Local contexts on file systems that give less than is asked for, or change meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from croze.errors import CrozeError
from croze.fs.entry import Entry
from croze.fs.remove import remove_tree
from croze.fs.tree.walk import Found, WalkOptions, make_entry, select
from tests.fs import trees
from tests.fs.pairs import Pair


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_what_goes_while_it_is_listed_is_left_out(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees.make(pair.source, {"a": "1", "b/c": "2", "d": "3"})
    pair.sync()
    trees.make(pair.source, {"a": "other", "d": "other", "e": "4"})

    def select_and_remove(root: str, options: WalkOptions) -> Iterator[Found]:
        for found in select(root, options):
            if found[0] in ("a", "b", "e"):
                remove_tree(found[1])
            yield found

    (pair.source / "b").chmod(0o700)
    with monkeypatch.context() as patch:
        patch.setattr("croze.fs.sync.local.select", select_and_remove)
        pair.sync()
    assert sorted(p.name for p in pair.dest.rglob("*")) == ["d"]
    assert (pair.dest / "d").read_text() == "other"
    assert pair.digests_agree()
    assert pair.sync() == (0, 0)


@pytest.mark.parametrize("size", [100, 5000, 3 << 20])
def test_reads_that_give_less_are_no_end(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """As FUSE and /proc have it, whose files may also be larger than is told."""
    content = os.urandom(size)
    pair.source.mkdir()
    (pair.source / "a").write_bytes(content)

    def smaller(
        path: str, full: str, st: os.stat_result, seen: dict[tuple[int, int], str]
    ) -> Entry | None:
        entry = make_entry(path, full, st, seen)
        return entry and replace(entry, size=size - 1)

    monkeypatch.setattr("croze.fs.sync.local.make_entry", smaller)
    read = os.read
    monkeypatch.setattr("os.read", lambda fd, count: read(fd, min(count, 1000)))
    pair.sync()
    assert (pair.dest / "a").read_bytes() == content


def test_what_can_not_be_read_is_named(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.make(pair.source, {"d/a": "1"})

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("os.read", fail)
        with pytest.raises(CrozeError, match=r"^sync /d/a: input/output error$"):
            pair.sync()
        patch.undo()
        patch.setattr("os.scandir", fail)
        with pytest.raises(CrozeError, match=r"^sync /: input/output error$"):
            pair.sync()
