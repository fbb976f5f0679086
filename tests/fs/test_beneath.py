"""A tree that is received where somebody else may rename what was made, at the worst moments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from croze.errors import InvalidRequest, PermissionDenied
from croze.fs import root
from croze.fs.beneath import Beneath
from croze.fs.entry import Entry
from croze.fs.remove import remove_at
from croze.fs.sync import attributes
from croze.fs.sync.attributes import MadeFile
from croze.fs.sync.mirror import Mirror
from croze.fs.sync.receive import Receiver
from croze.fs.tree.walk import Found, walk_stats
from tests.fs import trees

FILE, DIR, LINK, FIFO = 0o104755, 0o040755, 0o120777, 0o010644
ME = (os.geteuid(), os.getegid())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return trees.make(tmp_path / "outside", {"f": "precious", "sub/f": "precious"})


@pytest.fixture(params=[True, False], ids=["openat2", "older kernels"])
def dest(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(root, "_have_openat2", request.param)
    return trees.make(tmp_path / "dest", {})


def made(mirror: Mirror, entry: Entry) -> MadeFile:
    """An empty file, whose content is still to come."""
    file = mirror.put(entry)
    assert file is not None
    return file


def received(dest: Path) -> Receiver:
    """Two files on their way, and a directory that is held, as something was made in it."""
    receiver = Receiver(str(dest), merge=True, owner=ME)
    for path, kind, link in (
        ("a", FILE, ""),
        ("b", FILE, "a"),
        ("d", DIR, ""),
        ("d/a", FILE, ""),
        ("d/b", FILE, "d/a"),
        ("d/c", LINK, "a"),
    ):
        receiver.stat(Entry(path, kind, linkname=link))
    return receiver


def swapped(path: Path, other: Path) -> None:
    """A link is put in the place of what was made."""
    path.rename(path.with_name("away"))
    path.symlink_to(other)


def seen(outside: Path) -> list[object]:
    return [trees.read(outside), *(os.stat(outside / name) for name in ("", "f", "sub"))]


@pytest.mark.parametrize(
    "entry", [Entry("d/z", FIFO), Entry("d/sub", DIR), Entry("d/z", LINK, linkname="y")]
)
@pytest.mark.parametrize("others", [0, 20])
def test_a_directory_that_was_replaced(
    dest: Path, outside: Path, entry: Entry, others: int
) -> None:
    """By a link that leads out: nothing is made, written or set there, whether the directory was
    made just now or others have been since."""
    before = seen(outside)
    receiver = Receiver(str(dest), merge=True, owner=ME)
    receiver.stat(Entry("d", DIR))
    if others:
        receiver.stat(Entry("d/e", DIR))
    for number in range(others):
        receiver.stat(Entry(f"d/e/{number:02}", DIR))
        receiver.stat(Entry(f"d/e/{number:02}/f", LINK, linkname="x"))
    swapped(dest / "d", outside)
    with pytest.raises(PermissionDenied, match="d: something else was put in place of a dir"):
        receiver.stat(entry)
    receiver.abort()
    assert seen(outside) == before


def test_one_that_was_moved_is_written_where_it_is(dest: Path, outside: Path) -> None:
    before = seen(outside)
    receiver = received(dest)
    swapped(dest / "d", outside)
    receiver.data(3, b"x")
    receiver.end(3)
    receiver.abort()
    assert (dest / "away/a").read_text() == "x"
    assert seen(outside) == before


@pytest.mark.parametrize("how", ["link", "hard link", "file"])
def test_a_file_that_was_replaced_before_its_content_came(
    dest: Path, outside: Path, how: str
) -> None:
    """What gets root's owner and mode would be a program that runs as root."""
    mirror, entry = Mirror(str(dest), None, theirs=True), Entry("a", FILE, *ME)
    file = made(mirror, entry)
    target = outside / "f"
    (dest / "a").rename(dest / "away")
    if how == "link":
        (dest / "a").symlink_to(target)
    elif how == "hard link":
        (dest / "a").hardlink_to(target)
    else:
        target = dest / "a"
        target.write_text("precious")
    before = os.stat(target)
    with pytest.raises((PermissionDenied, OSError)):
        mirror.open(entry, file)
    mirror.close()
    after = os.stat(target)
    assert target.read_text() == "precious"
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes files of another user")
def test_the_number_of_a_file_does_not_tell_whose_it_is(dest: Path) -> None:
    """One that was removed gives it to the next."""
    mirror, entry = Mirror(str(dest), None, theirs=True), Entry("a", FILE, *ME)
    file = made(mirror, entry)
    os.chown(dest / "a", 1234, 1234)
    with pytest.raises(PermissionDenied, match="another file was put in its place"):
        mirror.open(entry, file)
    mirror.close()
    assert os.stat(dest / "a").st_uid == 1234


@pytest.mark.parametrize(
    "entry",
    [Entry("q", DIR), Entry("q", LINK, linkname="x", xattrs={"user.a": b"b"}), Entry("q", FIFO)],
    ids=["directory", "link", "fifo"],
)
def test_attributes_of_what_was_replaced(
    dest: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, entry: Entry
) -> None:
    """Right after it was made, as whoever is told of it (inotify) may do it."""
    target = outside / "f"
    set_at: Callable[[int, str, Entry], None] = attributes.set_attributes_at
    before = os.stat(target)

    def late(directory: int, name: str, entry: Entry) -> None:
        (dest / "q").rename(dest / "away")
        (dest / "q").symlink_to(target) if not entry.is_link else target.rename(dest / "q")
        set_at(directory, name, entry)

    monkeypatch.setattr("croze.fs.sync.mirror.set_attributes_at", late)
    receiver = Receiver(str(dest), merge=True, owner=(1234, 1234) if os.geteuid() == 0 else ME)
    with pytest.raises((PermissionDenied, OSError)):
        receiver.stat(entry)
    receiver.abort()
    after = os.stat(dest / "q" if entry.is_link else target)
    assert (after.st_mode, after.st_uid, after.st_size) == (
        before.st_mode,
        before.st_uid,
        before.st_size,
    )


def test_what_is_removed_is_below(
    dest: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at what is there and the removal."""
    before = seen(outside)
    trees.make(dest, {"d/f": "mine", "d/sub/f": "mine"})

    def looked(path: str) -> Iterator[Found]:
        found = list(walk_stats(path))
        swapped(dest / "d", outside)
        return iter(found)

    monkeypatch.setattr("croze.fs.sync.receive.walk_stats", looked)
    receiver = Receiver(str(dest), owner=ME)
    receiver.stat(Entry("d", DIR))
    with pytest.raises(PermissionDenied, match="something else was put in place of a directory"):
        receiver.finish()
    receiver.abort()
    assert seen(outside) == before


def test_the_root_may_be_a_link(dest: Path, tmp_path: Path) -> None:
    """That is whoever named it to say."""
    (tmp_path / "link").symlink_to(dest)
    receiver = received(tmp_path / "link")
    for number in (0, 3):
        receiver.data(number, b"x")
        receiver.end(number)
    receiver.finish()
    files = {"a": "x", "b": "x", "d": None, "d/a": "x", "d/b": "x"}
    assert trees.read(dest) == {**files, "d/c": ("->", "a")}


@pytest.mark.parametrize(
    "path", ["..", ".", "", "d/..", "../outside/f", "d/../../outside/f", "d\0/f"]
)
def test_no_path_leads_up(dest: Path, path: str) -> None:
    """Whoever it comes from: of a name that is there already, all would be removed."""
    trees.make(dest, {"d/f": ""})
    beneath = Beneath(str(dest))
    try:
        with pytest.raises(InvalidRequest, match="invalid path below a directory"):
            beneath.place(path)
    finally:
        beneath.close()


@pytest.mark.parametrize("name", ["..", ".", "", "d/f"])
def test_what_is_removed_has_a_name(dest: Path, outside: Path, name: str) -> None:
    trees.make(dest, {"d/f": ""})
    fd = os.open(dest, os.O_PATH)
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            remove_at(fd, name)
    finally:
        os.close(fd)
    assert trees.read(outside) == {"f": "precious", "sub": None, "sub/f": "precious"}
    assert trees.read(dest) == {"d": None, "d/f": ""}
