"""The file-transfer protocol's two ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from croze.errors import CrozeError, InvalidRequest
from croze.fs.content.checksum import Query, checksum
from croze.fs.entry import Entry, go_mode, unix_mode
from croze.fs.sync.mirror import SyncResult, load_notes, load_state, save_state
from croze.fs.sync.receive import Receiver
from croze.fs.sync.send import Sender
from croze.fs.tree.walk import WalkOptions, walk
from croze.session.transfer import to_stat
from tests.fs import trees
from tests.fs.wired import notes, transfer

FILE, DIR, LINK = 0o100644, 0o040755, 0o120777


def test_only_differences_are_asked_for(tmp_path: Path) -> None:
    source, dest = tmp_path / "s", tmp_path / "d"
    trees.make(source, {"a": "1" * 100_000, "d/b": "2", "l": ("->", "a"), "e": "", "q/x": "y"})
    os.link(source / "a", source / "h")
    assert transfer(source, dest, **notes(tmp_path)) == SyncResult(8, 0, 100_002, 8)
    assert trees.read(dest) == trees.read(source)
    assert (dest / "a").samefile(dest / "h")
    assert transfer(source, dest, **notes(tmp_path)) == SyncResult(0, 0, 0, 8)
    (source / "d/b").write_text("changed")
    (source / "q/x").unlink()
    result = transfer(source, dest, **notes(tmp_path))
    assert (result.changed, result.removed, result.bytes) == (1, 1, 7)
    assert trees.read(dest) == trees.read(source)
    queries = [Query("/" + name) for name in sorted(os.listdir(dest))]
    remembered = checksum(str(dest), str(tmp_path / "index"), queries)
    assert remembered == checksum(str(dest), None, queries)


def test_times_survive(tmp_path: Path) -> None:
    trees.make(tmp_path / "s", {"d/a": "1"})
    for name in ("s/d/a", "s/d"):
        os.utime(tmp_path / name, ns=(10**18 + 7, 10**18 + 7))
    transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path))
    assert (tmp_path / "d/d").stat().st_mtime_ns == 10**18 + 7
    assert (tmp_path / "d/d/a").stat().st_mtime_ns == 10**18 + 7


def test_export_merges_or_deletes(tmp_path: Path) -> None:
    source = trees.make(tmp_path / "s", {"a": "new", "d/x": "1"})
    dest = trees.make(tmp_path / "d", {"a": "old", "mine": "kept", "d/y": "2"})
    transfer(source, dest, merge=True)
    assert trees.read(dest) == {"a": "new", "mine": "kept", "d": None, "d/x": "1", "d/y": "2"}
    transfer(source, dest, differ="none")
    assert trees.read(dest) == {"a": "new", "d": None, "d/x": "1"}


@pytest.mark.parametrize("options", [{"merge": True}, {"differ": "none"}])
def test_directories_that_are_there_have_the_time_of_what_happens_in_them(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """As with BuildKit's client: only new ones have the result's, and those in which nothing is
    made."""
    source = trees.make(
        tmp_path / "s",
        {"old/f": "1", "old/new/f": "2", "still/empty": None, "was/f": "3", "stale": None},
    )
    dest = trees.make(
        tmp_path / "d", {"old/f": "0", "still/empty": None, "was": "a file", "stale/f": "0"}
    )
    for path in (*source.rglob("*"), *dest.rglob("*")):
        os.utime(path, ns=(7, 7))
    transfer(source, dest, **options)
    now = {str(p.relative_to(dest)) for p in dest.rglob("*") if p.stat().st_mtime_ns != 7}
    assert now == ({"old", "stale"} if "differ" in options else {"old"})


def test_export_replaces_links_instead_of_following(tmp_path: Path) -> None:
    outside = trees.make(tmp_path / "outside", {"f": "safe"})
    source = trees.make(tmp_path / "s", {"d/f": "new", "g": "new"})
    dest = trees.make(tmp_path / "d", {"d": ("->", str(outside)), "g": ("->", str(outside / "f"))})
    transfer(source, dest, merge=True)
    assert trees.read(outside) == {"f": "safe"}
    assert trees.read(dest) == {"d": None, "d/f": "new", "g": "new"}


def test_interrupted_transfers_start_anew(tmp_path: Path) -> None:
    source = trees.make(tmp_path / "s", {"a": "1", "b": "2"})
    dest = tmp_path / "d"
    transfer(source, dest, **notes(tmp_path))
    (source / "a").write_text("longer")
    receiver = Receiver(str(dest), **notes(tmp_path))
    sender = Sender(str(source))
    wanted = [n for entry in sender.entries() if (n := receiver.stat(entry)) is not None]
    receiver.data(wanted[0], b"lon")
    receiver.abort()
    assert transfer(source, dest, **notes(tmp_path)).changed == 2
    assert trees.read(dest) == {"a": "longer", "b": "2"}


@pytest.mark.parametrize(
    "entries",
    [
        [Entry("../x", FILE)],
        [Entry("/x", FILE)],
        [Entry("a/../x", FILE)],
        [Entry("d/x", FILE)],
        [Entry("l", LINK, linkname="/etc"), Entry("l/x", FILE)],
        [Entry("b", FILE), Entry("a", FILE)],
        [Entry("a", FILE), Entry("a", FILE)],
        [Entry("a", FILE, linkname="/etc/passwd")],
        [Entry("a", LINK, linkname="/etc/passwd"), Entry("b", FILE, linkname="a")],
        [Entry("d", DIR), Entry("e", DIR), Entry("d/x", FILE)],
        [Entry("", DIR)],
    ],
)
def test_hostile_lists_are_refused(tmp_path: Path, entries: list[Entry]) -> None:
    receiver = Receiver(str(tmp_path))
    with pytest.raises(InvalidRequest):
        list(map(receiver.stat, entries))


def test_wrong_numbers_are_refused(tmp_path: Path) -> None:
    receiver = Receiver(str(tmp_path))
    assert receiver.stat(Entry("a", FILE)) == 0
    with pytest.raises(InvalidRequest, match="invalid file request 1"):
        receiver.data(1, b"x")
    with pytest.raises(InvalidRequest, match="1 files missing"):
        receiver.finish()
    (tmp_path / "a").touch()
    sender = Sender(str(tmp_path))
    list(sender.entries())
    assert list(sender.chunks(0)) == []
    with pytest.raises(InvalidRequest, match="invalid file id 0"):
        list(sender.chunks(0))


def test_vanished_files_are_empty(tmp_path: Path) -> None:
    source = trees.make(tmp_path / "s", {"a": "1"})
    sender = Sender(str(source), WalkOptions())
    assert len(list(sender.entries())) == 1
    (source / "a").unlink()
    assert list(sender.chunks(0)) == []


def test_what_goes_while_it_is_listed_is_left_out(tmp_path: Path) -> None:
    source = trees.make(tmp_path / "s", {"a": "1", "b": "2", "d/e": "3", "l": ("->", "a")})
    os.link(source / "b", source / "z")
    found = walk(str(source))
    paths = [next(found).path]
    (source / "b").unlink()
    (source / "l").unlink()
    (source / "d").rename(source / "x")
    paths += [f"{entry.path} {entry.linkname}" for entry in found]
    assert paths == ["a", "z "]


@pytest.mark.parametrize(
    ("code", "is_empty"),
    [(errno.EACCES, True), (errno.ELOOP, True), (errno.EIO, False), (errno.EMFILE, False)],
)
def test_files_that_can_not_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_empty: bool
) -> None:
    source = trees.make(tmp_path / "s", {"a": "1"})

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    sender = Sender(str(source))
    assert len(list(sender.entries())) == 1
    monkeypatch.setattr("os.open", fail)
    if is_empty:
        assert list(sender.chunks(0)) == []
        return
    with pytest.raises(CrozeError) as caught:
        list(sender.chunks(0))
    assert str(caught.value) == f"open a: {os.strerror(code).lower()}"


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    source = trees.make(tmp_path / "s", {"a": "1"})
    sender = Sender(str(source))
    assert len(list(sender.entries())) == 1
    (source / "a").unlink()
    (source / "a").mkdir()
    with pytest.raises(CrozeError, match=r"^read a: is a directory$"):
        list(sender.chunks(0))


def test_directories_that_can_not_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees.make(tmp_path, {"d/a": "1"})
    scandir = os.scandir

    def fail(fd: int) -> Any:
        if os.fstat(fd).st_ino == (tmp_path / "d").stat().st_ino:
            raise OSError(errno.EIO, os.strerror(errno.EIO), fd)
        return scandir(fd)

    monkeypatch.setattr("os.scandir", fail)
    with pytest.raises(CrozeError, match=r"^read /d: input/output error$"):
        list(Sender(str(tmp_path)).entries())


def test_times_beyond_64_bits() -> None:
    assert to_stat(Entry("a", 0o100644, mtime_ns=1 << 63)).modTime == -1 << 63
    assert to_stat(Entry("a", 0o100644, mtime_ns=-1)).modTime == -1


@pytest.mark.parametrize(
    ("unix", "wire"),
    [
        (0o100644, 0o644),
        (0o040755, 1 << 31 | 0o755),
        (0o120777, 1 << 27 | 0o777),
        (0o104755, 1 << 23 | 0o755),
        (0o102755, 1 << 22 | 0o755),
        (0o041777, 1 << 31 | 1 << 20 | 0o777),
        (0o020666, 1 << 26 | 1 << 21 | 0o666),
        (0o060660, 1 << 26 | 0o660),
        (0o010600, 1 << 25 | 0o600),
    ],
)
def test_modes_on_the_wire(unix: int, wire: int) -> None:
    assert go_mode(unix) == wire
    assert unix_mode(wire) == unix


def test_links_to_old_files_stay_as_they_were(tmp_path: Path) -> None:
    source, dest, link = tmp_path / "s", tmp_path / "d", tmp_path / "link"
    trees.make(source, {"a": "1"})
    transfer(source, dest, **notes(tmp_path))
    os.link(dest / "a", link)
    before = link.stat().st_mode, link.stat().st_mtime_ns
    (source / "a").write_text("changed")
    (source / "a").chmod(0o700)
    transfer(source, dest, **notes(tmp_path))
    assert (dest / "a").read_text() == "changed"
    assert link.read_text() == "1"
    assert (link.stat().st_mode, link.stat().st_mtime_ns) == before


def test_nothing_new_is_written_where_nothing_has_changed(tmp_path: Path) -> None:
    """Not even the notes: of 20,000 files, that alone would take longer than to look at them."""
    trees.make(tmp_path / "s", {"a": "1", "d/b": "2", "l": ("->", "a")})
    transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path))
    before = [os.stat(path) for path in notes(tmp_path).values()]
    transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path))
    assert [os.stat(path) for path in notes(tmp_path).values()] == before
    (tmp_path / "s/d/b").unlink()
    assert transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path)).removed == 1
    after = [os.stat(path) for path in notes(tmp_path).values()]
    assert all(new.st_mtime_ns > old.st_mtime_ns for new, old in zip(after, before, strict=True))


def test_an_unreadable_index_is_made_again(tmp_path: Path) -> None:
    trees.make(tmp_path / "s", {"a": "1", "d/b": "2"})
    transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path))
    (tmp_path / "index").write_bytes(b"junk")
    (tmp_path / "s/c").write_text("3")
    assert transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path)).changed == 1
    queries = [Query("/" + name) for name in ("a", "c", "d")]
    remembered = checksum(str(tmp_path / "d"), str(tmp_path / "index"), queries)
    assert remembered == checksum(str(tmp_path / "d"), None, queries)


def add_first(source: Path) -> None:
    (source / "0").write_text("new")


def add_last(source: Path) -> None:
    (source / "z").write_text("new")


def change(source: Path) -> None:
    (source / "d/b").write_text("changed")


def change_what_is_linked(source: Path) -> None:
    (source / "a").write_text("changed")


def remove(source: Path) -> None:
    (source / "d/b").unlink()


def remove_last(source: Path) -> None:
    (source / "t").unlink()


def turn_into_a_file(source: Path) -> None:
    (source / "d/b").unlink()
    (source / "d").rmdir()
    (source / "d").write_text("a file")


def remove_all(source: Path) -> None:
    for path in trees.read(source):
        (source / path).unlink(missing_ok=True) if not (source / path).is_dir() else None


@pytest.mark.parametrize("batch", [1, 3, 100])
@pytest.mark.parametrize(
    "work",
    [
        *(add_first, add_last, change, change_what_is_linked, remove, remove_last),
        *(turn_into_a_file, remove_all),
    ],
)
def test_what_is_told_as_before_is_kept_and_all_else_is_not(
    tmp_path: Path, batch: int, work: Callable[[Path], None]
) -> None:
    source, dest = tmp_path / "s", tmp_path / "d"
    trees.make(source, {"a": "1", "d/b": "2", "l": ("->", "a"), "q": "3", "t": "4"})
    os.link(source / "a", source / "h")
    for _ in range(2):
        transfer(source, dest, batch, **notes(tmp_path))
    work(source)
    for changes in (True, False):
        result = transfer(source, dest, batch, **notes(tmp_path))
        assert (result.changed + result.removed > 0) is changes
        assert trees.read(dest) == trees.read(source)
    queries = [Query("/" + name) for name in sorted(os.listdir(dest))]
    assert checksum(str(dest), str(tmp_path / "index"), queries) == checksum(
        str(dest), None, queries
    )


def test_notes_without_packets_get_them(tmp_path: Path) -> None:
    """Those of a transfer on one machine, and of older versions."""
    trees.make(tmp_path / "s", {"a": "1", "b": "2"})
    transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path))
    state = load_state(notes(tmp_path)["state_file"])
    assert state is not None
    save_state(notes(tmp_path)["state_file"], state.started_ns, state.mirrored)
    for _ in range(2):
        assert transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path)).changed == 0
    found = load_notes(notes(tmp_path)["state_file"])
    assert found is not None
    assert len(found.packets) == 2


def test_content_that_is_the_same_is_not_written_again(tmp_path: Path) -> None:
    """A Dockerfile is asked for each time, whatever its times are."""
    source, dest = tmp_path / "s", tmp_path / "d"
    trees.make(source, {"small": "x" * 10, "large": "y" * (3 << 20), "link": ("->", "small")})
    once: dict[str, Any] = {**notes(tmp_path), "differ": "none"}
    transfer(source, dest, **once)
    before = [(dest / name).stat().st_ino for name in ("small", "large")]
    assert transfer(source, dest, **once) == SyncResult(1, 0, (3 << 20) + 10, 3)
    after = [(dest / name).stat().st_ino for name in ("small", "large")]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
    (source / "small").write_text("z" * 10)
    os.utime(source / "small", ns=(7, 7))
    transfer(source, dest, **once)
    (source / "small").write_text("q" * 10)
    os.utime(source / "small", ns=(7, 7))  # nothing but its content tells
    transfer(source, dest, **once)
    assert trees.read(dest) == trees.read(source)
    queries = [Query("/" + name) for name in sorted(os.listdir(dest))]
    assert checksum(str(dest), str(tmp_path / "index"), queries) == checksum(
        str(dest), None, queries
    )


def test_an_empty_tree_is_not_what_was_never_told(tmp_path: Path) -> None:
    """Of notes that no sender's packets are kept with."""
    trees.make(tmp_path / "s", {"a": "1"})
    transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path))
    state = load_state(notes(tmp_path)["state_file"])
    assert state is not None
    save_state(notes(tmp_path)["state_file"], state.started_ns, state.mirrored)
    (tmp_path / "s/a").unlink()
    assert transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path)).removed == 1
    assert transfer(tmp_path / "s", tmp_path / "d", **notes(tmp_path)) == SyncResult(0, 0, 0, 0)
    assert trees.read(tmp_path / "d") == {}
