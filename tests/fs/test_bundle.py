"""Trees as indexes and packs: written, written again, merged; and what is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec
import pytest

from croze.errors import Corrupted, InvalidRequest, ResourceExhausted
from croze.fs.bundle import format, write
from croze.fs.bundle.format import BundleIndex, BundleNode, Chunk, Pack
from croze.fs.bundle.memory import known_packs
from croze.fs.bundle.read import needed
from croze.fs.bundle.survey import Survey
from croze.fs.bundle.write import TooLarge, write_bundle
from tests.fs.bundles import DAY_NS, NO_LIMIT, Place, content, put, sent, shape


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for number in range(50):
        put(root, f"d{number % 7}/f{number}", content(number, 3000 + number))
    put(root, "large", content(99, 9 << 20))
    put(root, "empty", "")
    (root / "link").symlink_to("../../outside")
    os.link(root / "large", root / "other-name")
    (root / "run").write_text("#!")
    (root / "run").chmod(0o4755)
    return root


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def test_a_tree_comes_out_as_it_went_in(tree: Path, place: Place, tmp_path: Path) -> None:
    bundle = place.write(tree)
    place.read(bundle, tmp_path / "new")
    assert shape(tmp_path / "new") == shape(tree)
    one, other = (tmp_path / "new" / name for name in ("large", "other-name"))
    assert one.samefile(other)


def test_equal_trees_are_equal_bundles(tree: Path, place: Place, tmp_path: Path) -> None:
    first = place.write(tree)
    again = Place(tmp_path / "again").write(tree)
    assert (first.index.digest, [p.digest for p in first.packs]) == (
        again.index.digest,
        [p.digest for p in again.packs],
    )


def test_only_what_changed_is_sent(tree: Path, place: Place) -> None:
    place.write(tree)
    assert sent(place.write(tree)) == 0
    put(tree, "d1/new", content(7, 5000))
    assert 5000 <= sent(place.write(tree)) < 6000
    large = (tree / "large").read_bytes()
    os.unlink(tree / "other-name")
    put(tree, "large", large[: 4 << 20] + b"inserted" + large[4 << 20 :])
    assert sent(place.write(tree)) < 5 << 20


def test_touched_files_are_not_sent(tree: Path, place: Place) -> None:
    place.write(tree)
    for path in tree.rglob("*"):
        os.utime(path, ns=(2 * DAY_NS, 2 * DAY_NS), follow_symlinks=False)
    assert sent(place.write(tree)) == 0


def test_what_is_not_there_any_more_is_sent_anew(tree: Path, place: Place, tmp_path: Path) -> None:
    place.write(tree)
    lost = Place(tmp_path / "elsewhere")
    bundle = lost.write(tree, memory=place.memory)
    lost.read(bundle, tmp_path / "new")
    assert shape(tmp_path / "new") == shape(tree)


def test_two_places_do_not_forget_each_other(tree: Path, place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other")
    put(tree, "d1/first", content(1000, 4000))
    place.write(tree)
    os.unlink(tree / "d1/first")
    other.write(tree, memory=place.memory)
    assert sent(place.write(tree)) == 0
    assert sent(other.write(tree, memory=place.memory)) == 0


def test_packs_that_are_mostly_waste_are_written_anew(place: Place, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for number in range(100):
        put(root, f"f{number}", content(number, 10_000))
    place.write(root)
    for number in range(90):
        os.unlink(root / f"f{number}")
    bundle = place.write(root)
    assert len(bundle.packs) == 1
    assert 100_000 <= bundle.packs[0].size < 110_000


def test_many_small_packs_become_one(place: Place, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    counts = []
    for number in range(12):
        put(root, f"f{number}", content(number, 1000))
        counts.append(len(place.write(root).packs))
    assert max(counts) <= 9
    assert len(known_packs(str(place.memory))) <= 9


def test_merging_keeps_the_newest_of_each_file(place: Place, tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    put(theirs, "both/old", "theirs", mtime_ns=DAY_NS)
    put(ours, "both/old", "ours", mtime_ns=2 * DAY_NS)
    put(theirs, "both/new", "theirs", mtime_ns=3 * DAY_NS)
    put(ours, "both/new", "ours", mtime_ns=2 * DAY_NS)
    put(theirs, "both/same", "theirs")
    put(ours, "both/same", "ours")
    put(theirs, "theirs/a", "theirs")
    put(ours, "ours/a", "ours")
    put(theirs, "kind/a", "theirs")
    put(ours, "kind", "ours")
    (ours / "out").symlink_to(tmp_path / "outside")
    put(theirs, "out/file", "theirs")
    (tmp_path / "outside").mkdir()
    before = shape(ours)
    place.read(place.write(theirs), tmp_path / "new", ours)
    merged = {
        path: what.decode()
        for path, (mode, *_, what) in shape(tmp_path / "new").items()
        if isinstance(what, bytes)
    }
    assert merged == {
        "both/old": "ours",
        "both/new": "theirs",
        "both/same": "ours",
        "theirs/a": "theirs",
        "ours/a": "ours",
        "kind": "ours",
    }
    assert shape(ours) == before, "the old tree is as it was"
    assert not list((tmp_path / "outside").iterdir())


def test_what_was_merged_is_not_sent_again(tree: Path, place: Place, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    put(ours, "ours", content(5, 2000))
    place.read(place.write(tree), tmp_path / "new", ours)
    bundle = place.write(tmp_path / "new", memory=Path(str(tmp_path / "new") + ".memory"))
    assert 2000 <= sent(bundle) < 3000


def test_only_the_packs_that_are_needed_are_asked_for(tmp_path: Path, place: Place) -> None:
    root = tmp_path / "tree"
    put(root, "a", content(1, 6 << 20))
    place.write(root)
    (tmp_path / "have").mkdir()
    place.read(place.write(root), tmp_path / "have")
    put(root, "b", content(2, 1000))
    bundle = place.write(root)
    wanted = needed(bundle.index.path, str(tmp_path / "have"), NO_LIMIT)
    sizes = [pack.size for pack in bundle.packs if pack.digest in wanted]
    assert len(sizes) == len(wanted) == 1
    assert 1000 <= sizes[0] < 2000


def test_devices_pipes_and_sockets_stay_behind(place: Place, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    os.mkfifo(root / "pipe")
    if os.geteuid() == 0:
        os.mknod(root / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    put(root, "file", "a")
    place.read(place.write(root), tmp_path / "new")
    assert os.listdir(tmp_path / "new") == ["file"]


def test_a_limit_is_kept(tree: Path, place: Place, tmp_path: Path) -> None:
    made = write_bundle(str(tree), str(place.path / "m"), (), str(tmp_path), 1 << 20)
    assert isinstance(made, TooLarge)
    assert made.content_bytes > 6 << 20
    bundle = place.write(tree)
    with pytest.raises(ResourceExhausted):
        needed(bundle.index.path, None, 1 << 20)


# -- what comes from elsewhere ---------------------------------------------------------------

ROOT = BundleNode(b"", stat.S_IFDIR | 0o755, 0, 0, 0)
DIR = BundleNode(b"d", stat.S_IFDIR | 0o755, 0, 0, 0)
FILE = BundleNode(b"f", stat.S_IFREG | 0o644, 0, 0, 0)
LINK = BundleNode(b"l", stat.S_IFLNK | 0o777, 0, 0, 0, b"d")
PACK = Pack("sha256:" + "0" * 64, 10, (Chunk(b"0" * 32, 10),))


def node(base: BundleNode, **values: object) -> BundleNode:
    return msgspec.structs.replace(base, **values)


HOSTILE: dict[str, tuple[BundleNode, ...]] = {
    "no root": (DIR,),
    "a root that is a link": (node(LINK, path=b""),),
    "above": (ROOT, node(FILE, path=b"../f")),
    "above, further in": (ROOT, DIR, node(FILE, path=b"d/../../f")),
    "absolute": (ROOT, node(FILE, path=b"/etc/passwd")),
    "a dot": (ROOT, node(FILE, path=b".")),
    "a zero byte": (ROOT, node(FILE, path=b"a\0b")),
    "an endless name": (ROOT, node(FILE, path=b"a" * 300)),
    "through a link": (ROOT, DIR, LINK, node(FILE, path=b"l/f")),
    "no parent": (ROOT, node(FILE, path=b"x/f")),
    "a parent that comes later": (ROOT, node(FILE, path=b"d/f"), DIR),
    "twice": (ROOT, FILE, FILE),
    "a link in a directory's place": (ROOT, DIR, node(LINK, path=b"d", link=b"/etc")),
    "a device": (ROOT, node(FILE, mode=stat.S_IFBLK | 0o600)),
    "a pipe": (ROOT, node(FILE, mode=stat.S_IFIFO | 0o600)),
    "a link to nowhere": (ROOT, node(LINK, link=b"")),
    "a hard link out": (ROOT, node(FILE, link=b"../../etc/passwd")),
    "an absolute hard link": (ROOT, node(FILE, link=b"/etc/passwd")),
    "a hard link to a link": (ROOT, DIR, LINK, node(FILE, link=b"l")),
    "a hard link to itself": (ROOT, node(FILE, link=b"f")),
    "a size that is too large": (ROOT, node(FILE, size=1 << 50, chunks=(0,))),
    "a size without content": (ROOT, node(FILE, size=5)),
    "a negative chunk": (ROOT, node(FILE, size=10, chunks=(-1,))),
    "an unknown chunk": (ROOT, node(FILE, size=10, chunks=(7,))),
    "a directory with content": (ROOT, node(DIR, size=10, chunks=(0,))),
    "an owner that is none": (ROOT, node(FILE, uid=(1 << 32) - 1)),
    "overlayfs' attributes": (ROOT, node(FILE, xattrs={"trusted.overlay.redirect": b"/etc"})),
    "overlayfs' attributes for users": (ROOT, node(FILE, xattrs={"user.overlay.opaque": b"y"})),
    "attributes with a zero byte": (ROOT, node(FILE, xattrs={"user.a\0": b"y"})),
    "a time that is none": (ROOT, node(FILE, mtime_ns=(1 << 64) - 1)),
}


@pytest.mark.parametrize("nodes", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_indexes_are_refused(nodes: tuple[BundleNode, ...], tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="invalid cache mount index"):
        format.decode(format.encode(BundleIndex(nodes, (PACK,))), NO_LIMIT)


@pytest.mark.parametrize(
    "pack",
    [
        Pack("sha256:../../x", 1, ()),
        Pack(PACK.digest, 1, (Chunk(b"short", 1),)),
        Pack(PACK.digest, 1, (Chunk(b"0" * 32, 1 << 40),)),
        Pack(PACK.digest, 1, (Chunk(b"0" * 32, 0),)),
    ],
)
def test_hostile_packs_are_refused(pack: Pack) -> None:
    with pytest.raises(InvalidRequest, match="invalid cache mount index"):
        format.decode(format.encode(BundleIndex((ROOT,), (pack,))), NO_LIMIT)


def test_what_is_no_index_is_refused() -> None:
    import zstandard

    bomb = zstandard.ZstdCompressor().compress(bytes(format.INDEX_LIMIT_BYTES + 1))
    for data in (b"", b"text", zstandard.ZstdCompressor().compress(b"text"), bomb):
        with pytest.raises(InvalidRequest, match="invalid cache mount index"):
            format.decode(data, NO_LIMIT)


def test_chunks_that_are_not_what_they_should_be(tree: Path, place: Place, tmp_path: Path) -> None:
    bundle = place.write(tree)
    path = next(iter(place.packs.values()))
    data = bytearray(Path(path).read_bytes())
    for damaged in (bytes(data[: len(data) // 2]), bytes(len(data)), b""):
        Path(path).write_bytes(damaged)
        new = tmp_path / f"new{len(damaged)}{damaged[:1]!r}"
        with pytest.raises(Corrupted):
            place.read(bundle, new)


def test_a_file_that_changes_while_it_is_read_is_left_out(
    tree: Path, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat
    moving = os.stat(tree / "large").st_ino
    times = iter(range(1, 100))

    def fstat(fd: int) -> os.stat_result:
        found = real(fd)
        if found.st_ino == moving:
            os.utime(tree / "large", ns=(0, next(times) * DAY_NS))
            return real(fd)
        return found

    monkeypatch.setattr("croze.fs.bundle.write.os.fstat", fstat)
    bundle = place.write(tree)
    monkeypatch.undo()
    place.read(bundle, tmp_path / "new")
    names = set(os.listdir(tmp_path / "new"))
    assert {"large", "other-name"} & names == set()
    assert "empty" in names


def swapped(place: Path, by: Path) -> None:
    """Another step that uses the mount puts a link in a directory's place."""
    place.rename(f"{place}.away")
    place.symlink_to(by)


def test_who_leads_out_of_the_tree_while_it_is_read(
    tree: Path, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of the machine, their names, and where links lead, are in no bundle."""
    outside = tmp_path / "outside"
    for folder in ("d0", "d1/e"):
        put(outside, f"{folder}/f0", "secret")
        (outside / folder / "to").symlink_to("somewhere")
    put(tree, "d1/e/f0", "ours")
    scandir = os.scandir

    class Swapping(Survey):
        def open(self, path: bytes) -> int:
            if not (tree / "d0").is_symlink():
                swapped(tree / "d0", outside / "d0")
            return super().open(path)

    def scanned(fd: int) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        if os.path.samestat(os.fstat(fd), os.stat(tree / "d1")) and not (tree / "d1").is_symlink():
            found = list(scandir(fd))
            swapped(tree / "d1", outside / "d1")
            return nullcontext(iter(found))
        return scandir(fd)

    monkeypatch.setattr(write, "Survey", Swapping)
    monkeypatch.setattr(os, "scandir", scanned)
    bundle = place.write(tree)
    monkeypatch.undo()
    place.read(bundle, tmp_path / "new")
    assert (tree / "d0").is_symlink()
    assert (tree / "d1").is_symlink()
    files = [path for path in (tmp_path / "new").rglob("*") if not path.is_dir()]
    assert "to" not in {path.name for path in files}
    assert b"secret" not in {path.read_bytes() for path in files if path.is_file()}
