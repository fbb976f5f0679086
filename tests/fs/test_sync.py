"""Local contexts: only differences are brought over, and digests come along."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from croze.errors import CrozeError
from croze.fs.content.checksum import Query, checksum
from croze.fs.remove import remove_tree
from croze.fs.sync.local import sync
from croze.fs.sync.mirror import MirroredEntry, load_state, save_state
from croze.fs.tree.walk import Found, WalkOptions, select, walk_stats
from tests.fs import trees
from tests.fs.pairs import Pair
from tests.support.work import calls_of

OLD_NS = 1_600_000_000_000_000_000


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_first_again_and_changed(pair: Pair) -> None:
    trees.make(
        pair.source,
        {
            "a": "1",
            "d/b": "22",
            "d/e/c": "",
            "l": ("->", "../out"),
            "empty": None,
            "big": "x" * 3_000_000,
        },
    )
    assert pair.sync() == (8, 0)
    assert trees.read(pair.dest) == trees.read(pair.source)
    assert pair.digests_agree()
    assert pair.sync() == (0, 0)

    (pair.source / "d/b").write_text("33")
    (pair.source / "new").write_text("n")
    (pair.source / "l").unlink()
    assert pair.sync() == (2, 1)
    assert trees.read(pair.dest) == trees.read(pair.source)
    assert pair.digests_agree()


def test_digests_are_the_same_whether_it_was_ever_empty(tmp_path: Path) -> None:
    """What is copied from a directory is found in the cache by these."""
    digests: list[list[str]] = []
    for pair in (Pair(tmp_path / "once empty"), Pair(tmp_path / "never empty")):
        trees.make(pair.source, {} if not digests else {"a": "1"})
        pair.sync()
        trees.make(pair.source, {"a": "1"})
        os.utime(pair.source / "a", ns=(OLD_NS, OLD_NS))
        pair.sync()
        digests.append(checksum(str(pair.dest), str(pair.root / "index"), [Query("/")]))
    assert digests[0] == digests[1]


def test_types_change_and_trees_go(pair: Pair) -> None:
    trees.make(pair.source, {"x/y/z": "1", "x/w": "2", "f": "3", "keep/k": "4", "g/h": "5"})
    pair.sync()
    for path in ("x/y/z", "x/w", "f", "g/h"):
        (pair.source / path).unlink()
    (pair.source / "x/y").rmdir()
    (pair.source / "x").rmdir()
    (pair.source / "g").rmdir()
    trees.make(pair.source, {"x": "file now", "f/inner": "dir now"})
    pair.sync()
    assert trees.read(pair.dest) == trees.read(pair.source)
    assert pair.digests_agree()


def test_touching_changes_nothing(pair: Pair) -> None:
    trees.make(pair.source, {"a": "same"})
    os.utime(pair.source / "a", ns=(OLD_NS, OLD_NS))
    pair.sync()
    inode = (pair.dest / "a").stat().st_ino
    (pair.source / "a").unlink()
    trees.make(pair.source, {"a": "same"})
    os.utime(pair.source / "a", ns=(OLD_NS, OLD_NS))
    assert pair.sync() == (0, 0)
    assert (pair.dest / "a").stat().st_ino == inode


def test_same_size_and_time_but_other_content_is_seen(pair: Pair) -> None:
    trees.make(pair.source, {"a": "one"})
    os.utime(pair.source / "a", ns=(OLD_NS, OLD_NS))
    pair.sync()
    (pair.source / "a").write_text("two")
    os.utime(pair.source / "a", ns=(OLD_NS, OLD_NS))
    assert pair.sync() == (1, 0)
    assert trees.read(pair.dest) == {"a": "two"}
    assert pair.digests_agree()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_capabilities_stay_behind(pair: Pair, size: int) -> None:
    """As with BuildKit, on whose way the owner is set after them. Cache keys know of them."""
    trees.make(pair.source, {"a": "1" * size})
    os.setxattr(pair.source / "a", "user.k", b"v")
    os.setxattr(
        pair.source / "a", "security.capability", struct.pack("<5I", 0x2000001, 8192, 0, 0, 0)
    )
    pair.sync()
    assert os.listxattr(pair.dest / "a") == ["user.k"]


def test_attributes_and_owner(pair: Pair) -> None:
    trees.make(pair.source, {"d/a": "1"})
    (pair.source / "d/a").chmod(0o4711)
    (pair.source / "d").chmod(0o750)
    os.setxattr(pair.source / "d/a", "user.k", b"v")
    os.utime(pair.source / "d/a", ns=(OLD_NS, OLD_NS))
    os.utime(pair.source / "d", ns=(OLD_NS, OLD_NS))
    if os.geteuid() == 0:
        os.chown(pair.source / "d/a", 5, 6)
        (pair.source / "d/a").chmod(0o4711)
    pair.sync()
    st = (pair.dest / "d/a").stat()
    assert (st.st_uid, st.st_gid) == (os.geteuid(), os.getegid())
    assert stat.S_IMODE(st.st_mode) == 0o4711
    assert st.st_mtime_ns == (pair.dest / "d").stat().st_mtime_ns == OLD_NS
    assert os.getxattr(pair.dest / "d/a", "user.k") == b"v"
    (pair.source / "d/a").chmod(0o600)
    pair.sync()
    assert stat.S_IMODE((pair.dest / "d/a").stat().st_mode) == 0o600
    assert (pair.dest / "d").stat().st_mtime_ns == OLD_NS
    assert pair.digests_agree()


def test_hard_links_stay_links(pair: Pair) -> None:
    trees.make(pair.source, {"a": "1", "c": "2"})
    os.link(pair.source / "a", pair.source / "b")
    pair.sync()
    assert (pair.dest / "a").samefile(pair.dest / "b")
    assert pair.digests_agree()
    assert pair.sync() == (0, 0)
    (pair.source / "a").write_text("changed through one name")
    pair.sync()
    assert (pair.dest / "b").read_text() == "changed through one name"
    assert (pair.dest / "a").samefile(pair.dest / "b")
    assert pair.digests_agree()


def test_a_linked_file_is_never_written_in_place(pair: Pair) -> None:
    """A layer may hold a hard link to a file of the mirror."""
    trees.make(pair.source, {"a": "before"})
    pair.sync()
    os.link(pair.dest / "a", pair.root / "layer")
    (pair.source / "a").write_text("after")
    pair.sync()
    assert (pair.root / "layer").read_text() == "before"
    assert (pair.dest / "a").read_text() == "after"


def test_patterns_and_their_change(pair: Pair) -> None:
    trees.make(pair.source, {"a.go": "1", "b.md": "2", "n/m/x.go": "3", "n/y.md": "4"})
    pair.sync(exclude=("**/*.md",))
    assert sorted(trees.read(pair.dest)) == ["a.go", "n", "n/m", "n/m/x.go"]
    pair.sync(include=("n/*.md",))
    assert sorted(trees.read(pair.dest)) == ["n", "n/y.md"]
    assert pair.digests_agree()


def test_a_failed_run_is_followed_by_a_full_one(pair: Pair) -> None:
    trees.make(pair.source, {"a": "1", "z": "2"})
    pair.sync()
    (pair.source / "a").write_text("new")
    (pair.source / "z").unlink()
    (pair.dest / "stray").write_text("left by the crash")
    os.unlink(pair.root / "state")
    pair.sync()
    assert trees.read(pair.dest) == {"a": "new"}
    assert pair.digests_agree()


def test_a_damaged_index_is_made_anew(pair: Pair) -> None:
    trees.make(pair.source, {"a": "1", "d/e/b": "2", "d/c": "3", "f/g": "4"})
    pair.sync()
    (pair.root / "index").write_bytes(b"damaged")
    (pair.source / "f/g").write_text("changed")
    assert pair.sync() == (1, 0)
    assert pair.digests_agree()


def test_sockets_come_as_empty_files(pair: Pair) -> None:
    trees.make(pair.source, {"a": "1"})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(pair.source / "s"))
        pair.sync()
    assert trees.read(pair.dest) == {"a": "1", "s": ""}


def test_names_that_are_no_utf8(pair: Pair) -> None:
    name = os.fsdecode(b"bad\xff")
    trees.make(pair.source, {name: "1", "é": "2"})
    pair.sync()
    pair.sync()
    assert trees.read(pair.dest) == {name: "1", "é": "2"}
    assert pair.digests_agree()


def test_source_by_descriptor(pair: Pair) -> None:
    trees.make(pair.source, {"d/a": "1"})
    fd = os.open(pair.source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(f"/proc/self/fd/{fd}", str(pair.dest))
    finally:
        os.close(fd)
    assert trees.read(pair.dest) == {"d": None, "d/a": "1"}


def test_missing_source_is_an_error(pair: Pair) -> None:
    with pytest.raises(CrozeError, match="no such file"):
        pair.sync()


def test_links_to_old_files_stay_as_they_were(pair: Pair) -> None:
    trees.make(pair.source, {"content": "1", "mode": "2", "time": "3", "gone": "4"})
    pair.sync()
    links = pair.root / "links"
    links.mkdir()
    for name in os.listdir(pair.dest):
        os.link(pair.dest / name, links / name)
    before = {
        p.name: (p.read_text(), p.stat().st_mode, p.stat().st_mtime_ns) for p in links.iterdir()
    }
    (pair.source / "content").write_text("changed")
    (pair.source / "mode").chmod(0o700)
    os.utime(pair.source / "time", ns=(OLD_NS, OLD_NS))
    (pair.source / "gone").unlink()
    assert pair.sync() == (3, 1)
    assert before == {
        p.name: (p.read_text(), p.stat().st_mode, p.stat().st_mtime_ns) for p in links.iterdir()
    }


@pytest.mark.parametrize("swapped", ["d", "d/e"])
def test_links_put_in_meanwhile_lead_nowhere(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    outside = pair.root / "outside"
    trees.make(outside, {"f": "secret", "e/f": "secret"})
    trees.make(pair.source, {"d/e/f": "public"})

    def select_and_swap(root: str, options: WalkOptions) -> Iterator[Found]:
        for found in select(root, options):
            if found[0] == "d/e/f":
                (pair.source / swapped).rename(pair.root / "away")
                (pair.source / swapped).symlink_to(outside)
            yield found

    monkeypatch.setattr("croze.fs.sync.local.select", select_and_swap)
    pair.sync()
    assert (pair.dest / "d/e/f").read_text() == ""
    assert "secret" not in [p.read_text() for p in pair.dest.rglob("*") if p.is_file()]


def test_a_directory_that_became_a_link_is_not_listed(tmp_path: Path) -> None:
    trees.make(tmp_path, {"in/d/a": "1", "out/b": "2"})

    def swap(path: str) -> bool:
        (tmp_path / "in/d").rename(tmp_path / "away")
        (tmp_path / "in/d").symlink_to(tmp_path / "out")
        return True

    assert [path for path, _, _ in walk_stats(str(tmp_path / "in"), swap)] == ["d"]


@pytest.fixture
def clock_of_small_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed just before a run need not be looked at again."""
    monkeypatch.setattr("croze.fs.sync.local._RACY_NS", 0)


@pytest.mark.usefixtures("clock_of_small_ticks")
def test_looking_changes_nothing(pair: Pair) -> None:
    trees.make(pair.source, {"a": "1", "d/b": "2", "l": ("->", "a")})
    assert not pair.unchanged()
    pair.sync()
    notes = pair.root / "state"
    assert pair.unchanged()
    changes: list[Callable[[], object]] = [
        lambda: (pair.source / "d/b").write_text("3"),
        lambda: (pair.source / "d/b").unlink(),
        lambda: (pair.source / "new").write_text("4"),
        lambda: (pair.source / "l").unlink(),
    ]
    for change in changes:
        change()
        before = trees.read(pair.dest), notes.stat()
        assert not pair.unchanged()
        assert (trees.read(pair.dest), notes.stat()) == before
        pair.sync()
        assert pair.unchanged()
    (pair.root / "index").unlink()
    assert not pair.unchanged()


@pytest.mark.usefixtures("clock_of_small_ticks")
def test_what_is_read_again_need_not_look_changed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a Dockerfile no notes are believed, whatever a file system tells of its times."""
    trees.make(pair.source, {"Dockerfile": "FROM a\n"})
    pair.sync()
    monkeypatch.setattr("croze.fs.sync.local._looks_same", lambda *_: True)
    monkeypatch.setattr("croze.fs.sync.local._RACY_NS", -(10**18))
    assert pair.unchanged(reread=True)
    (pair.source / "Dockerfile").write_text("FROM b\n")
    assert pair.unchanged()
    assert not pair.unchanged(reread=True)


@pytest.mark.usefixtures("clock_of_small_ticks")
def test_another_size_tells_where_the_clock_does_not(pair: Pair) -> None:
    """That of some file systems ticks once in two seconds."""
    trees.make(pair.source, {"a": "short"})
    pair.sync()
    (pair.source / "a").write_text("longer")
    now = (pair.source / "a").stat()
    notes = str(pair.root / "state")
    state = load_state(notes)
    assert state is not None
    (noted,) = state.mirrored
    entry = replace(noted.entry, ctime_ns=now.st_ctime_ns, mtime_ns=now.st_mtime_ns)
    save_state(notes, now.st_ctime_ns + 1, [MirroredEntry(entry, noted.digest)])
    assert not pair.unchanged()
    assert pair.sync() == (1, 0)
    assert (pair.dest / "a").read_text() == "longer"


def test_directories_that_become_files_cost_themselves(tmp_path: Path) -> None:
    """And not a look at all there is."""

    def cost(count: int) -> int:
        pair = Pair(tmp_path / str(count))
        trees.make(pair.source, {f"d{n}/{m}": "" for n in range(count) for m in range(3)})
        trees.make(pair.source, {f"z{n}": "" for n in range(count)})
        assert pair.sync() == (5 * count, 0)
        for number in range(count):
            remove_tree(pair.source / f"d{number}")
            (pair.source / f"d{number}").write_text("file")
            (pair.source / f"z{number}").unlink()
        calls = calls_of(lambda: done.append(pair.sync()))
        assert trees.read(pair.dest) == trees.read(pair.source)
        assert pair.digests_agree()
        return calls

    done: list[tuple[int, int]] = []
    few, many = cost(50), cost(200)
    assert done == [(50, 50), (200, 200)]
    assert many < few * 4.4
