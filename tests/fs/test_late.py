"""Small trees that are written when it is known what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from croze.fs.content.checksum import Query, checksum, checksum_listed
from croze.fs.sync import late
from croze.fs.sync.late import FEWEST, write_late
from croze.fs.sync.local import SyncOptions, look, sync
from croze.fs.sync.mirror import SMALL_BYTES, SyncResult
from croze.fs.tree.walk import WalkOptions
from tests.fs import trees
from tests.fs.wired import notes, transfer

Bring = Callable[[Path, Path], SyncResult]
MANY: trees.Tree = {f"d{n % 3}/f{n}": f"{n}" * n for n in range(FEWEST)}


def transferred(source: Path, root: Path) -> SyncResult:
    return transfer(source, root / "dest", pack=str(root / "pack"), **notes(root))


def synced(source: Path, root: Path) -> SyncResult:
    (root / "dest").mkdir()
    files = str(root / "index"), str(root / "state")
    options = SyncOptions(WalkOptions(), *files, pack=str(root / "pack"))
    return sync(str(source), str(root / "dest"), options)


both = pytest.mark.parametrize("bring", [transferred, synced])


@both
def test_what_is_in_it_is_known_before_it_is_there(tmp_path: Path, bring: Bring) -> None:
    source = trees.make(tmp_path / "s", {**MANY, "e/": None, "l": ("->", "d0"), "empty": ""})
    os.chmod(source / "d0/f0", 0o4755)
    os.utime(source / "d1", ns=(10**18 + 7, 10**18 + 7))
    assert bring(source, tmp_path).is_late
    dest, index = tmp_path / "dest", str(tmp_path / "index")
    assert os.listdir(dest) == []
    queries = [Query("/d0"), Query("/e"), Query("/d*/f1*", wildcard=True)]
    expected = checksum_listed(index, queries)
    write_late(str(dest), str(tmp_path / "pack"))
    assert not (tmp_path / "pack").exists()
    assert trees.read(dest) == trees.read(source)
    assert (dest / "d0/f0").stat().st_mode == (source / "d0/f0").stat().st_mode
    assert (dest / "d1").stat().st_mtime_ns == 10**18 + 7
    assert (dest / "d2/f2").stat().st_mtime_ns == (source / "d2/f2").stat().st_mtime_ns
    assert expected == checksum(str(dest), None, queries)
    if bring is synced:
        assert look(str(source), SyncOptions(index_file=index, state_file=str(tmp_path / "state")))


@both
@pytest.mark.parametrize(
    "tree",
    [
        pytest.param({"a": "1", "d/b": "2"}, id="few"),
        pytest.param({**MANY, os.fsdecode(b"\xff"): "odd"}, id="odd names"),
        pytest.param({**MANY, **{f"m{n}": b"x" * 60_000 for n in range(4)}}, id="too much"),
    ],
)
def test_others_are_written_at_once(
    tmp_path: Path, bring: Bring, tree: trees.Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "MOST_BYTES", 200_000)
    source = trees.make(tmp_path / "s", tree)
    assert not bring(source, tmp_path).is_late
    assert trees.read(tmp_path / "dest") == trees.read(source)
    assert not (tmp_path / "pack").exists()


@both
def test_large_files_are_written_as_they_come(tmp_path: Path, bring: Bring) -> None:
    large = {"d1/large": "x" * (SMALL_BYTES + 1), "z/large": "x" * SMALL_BYTES * 3}
    source = trees.make(tmp_path / "s", {**MANY, **large})
    os.utime(source / "d1", ns=(10**18 + 7, 10**18 + 7))
    assert bring(source, tmp_path).is_late
    dest = tmp_path / "dest"
    assert {"d1/large", "z/large"} <= trees.read(dest).keys()
    write_late(str(dest), str(tmp_path / "pack"))
    assert trees.read(dest) == trees.read(source)
    assert (dest / "d1").stat().st_mtime_ns == 10**18 + 7


def test_links_to_what_has_not_come_yet(tmp_path: Path) -> None:
    source = trees.make(tmp_path / "s", {**MANY, "z": "1"})
    os.link(source / "d0/f0", source / "h")
    os.link(source / "z", source / "zz")
    assert transferred(source, tmp_path).is_late
    dest = tmp_path / "dest"
    write_late(str(dest), str(tmp_path / "pack"))
    assert trees.read(dest) == trees.read(source)
    assert (dest / "h").samefile(dest / "d0/f0")
    assert (dest / "zz").samefile(dest / "z")


def test_what_is_not_known_is_looked_at(tmp_path: Path) -> None:
    root = trees.make(tmp_path / "r", {"a": "1", "x": ("->", "y"), "y": ("->", "x")})
    index = str(tmp_path / "index")
    assert checksum_listed(index, [Query("/a")]) is None
    checksum(str(root), index, [Query("/a")])
    assert checksum_listed(index, [Query("/a")]) is None
