"""What transfers cost, counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from croze.fs.entry import Entry
from croze.fs.remove import remove_tree
from croze.fs.sync import receive
from croze.fs.sync.incoming import GATHERED_BYTES
from croze.fs.sync.mirror import SyncResult
from croze.fs.sync.receive import Receiver
from croze.fs.sync.send import Sender
from tests.fs import trees
from tests.fs.wired import notes, transfer
from tests.support.work import calls_of

FILE = 0o100644
MAKING = ("open", "write", "fchown", "chown", "fchmod", "chmod", "utime", "close")
LOOKING = ("fstat", "stat")


def test_a_small_file_is_made_with_what_it_holds(tmp_path: Path) -> None:
    """It costs six calls of the system: open, write, owner, mode, times, close; no look at it."""
    source = trees.make(tmp_path / "s", {f"f{n}": "x" * 1000 for n in range(50)})
    made: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in (*MAKING, *LOOKING):
            patch.setattr(os, name, counted(getattr(os, name), made))
        transfer(source, tmp_path / "d", **notes(tmp_path))
    of_sender = 2 * 50  # it opens and closes them, too
    assert len(made) <= 6 * 50 + of_sender + 10
    assert trees.read(tmp_path / "d") == trees.read(source)


def counted(function: Callable[..., Any], made: list[str]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        made.append(function.__name__)
        return function(*args, **kwargs)

    return call


def test_what_is_held_of_many_files_has_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever begins them all, and ends none."""
    monkeypatch.setattr(receive, "_ALL_HELD_BYTES", 10_000)
    (tmp_path / "d").mkdir()
    receiver = Receiver(str(tmp_path / "d"), **notes(tmp_path))
    for number in range(20):
        assert receiver.stat(Entry(f"f{number:02}", FILE, size=2000)) == number
    for number in range(20):
        receiver.data(number, b"x" * 1000)
    assert receiver._held_bytes <= 10_000
    for number in range(20):
        receiver.data(number, b"y" * 1000)
        receiver.end(number)
    receiver.finish()
    assert receiver._held_bytes == 0
    assert set(trees.read(tmp_path / "d").values()) == {"x" * 1000 + "y" * 1000}


def test_directories_that_become_files_cost_themselves(tmp_path: Path) -> None:
    """And not a look at all there is."""

    def cost(count: int) -> int:
        root = tmp_path / str(count)
        source, dest = root / "s", root / "d"
        trees.make(source, {f"d{n}/{m}": "" for n in range(count) for m in range(3)})
        trees.make(source, {f"z{n}": "" for n in range(count)})
        transfer(source, dest, **notes(root))
        for number in range(count):
            remove_tree(source / f"d{number}")
            (source / f"d{number}").write_text("file")
            (source / f"z{number}").unlink()
        calls = calls_of(lambda: done.append(transfer(source, dest, **notes(root))))
        assert trees.read(dest) == trees.read(source)
        return calls

    done: list[SyncResult] = []
    few, many = cost(50), cost(200)
    assert [(each.changed, each.removed) for each in done] == [(50, 50), (200, 200)]
    assert many < few * 4.4


def test_the_smallest_pieces_cost_no_more_as_they_add_up(tmp_path: Path) -> None:
    """Of a file that may be what is there: it is held until that is known."""

    def cost_s(count: int) -> float:
        root = tmp_path / str(count)
        trees.make(root / "s", {"a": "x" * count})
        transfer(root / "s", root / "d", **notes(root))
        receiver = Receiver(str(root / "d"), differ="none", **notes(root))
        [entry] = Sender(str(root / "s"), reset_owner=True).entries()
        number = receiver.stat(entry)
        assert number is not None
        began = time.process_time()
        for _ in range(count):
            receiver.data(number, b"x")
        receiver.end(number)
        spent = time.process_time() - began
        assert receiver.finish().changed == 0
        return spent

    few = min(cost_s(n) for n in (3000, 3001, 3002))
    many = min(cost_s(n) for n in (30_000, 30_001, 30_002))
    assert many < few * 30


def test_a_large_file_is_written_in_large_pieces(tmp_path: Path) -> None:
    """However small those are in which it comes, and whatever comes between them."""
    piece, count = os.urandom(32 << 10), 128
    (tmp_path / "d").mkdir()
    receiver = Receiver(str(tmp_path / "d"), **notes(tmp_path))
    for name in "ab":
        receiver.stat(Entry(name, FILE, size=count * len(piece)))
    made: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", counted(os.write, made))
        for _ in range(count):
            receiver.data(0, piece)
            receiver.data(1, piece)
        receiver.end(0)
        receiver.end(1)
    assert len(made) <= 2 * (count * len(piece) // GATHERED_BYTES + 2)
    assert receiver.finish().bytes == 2 * count * len(piece)
    assert (tmp_path / "d/a").read_bytes() == (tmp_path / "d/b").read_bytes() == piece * count


def test_the_smallest_pieces_count_for_what_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte is held as an object of some hundred bytes."""
    monkeypatch.setattr(receive, "_ALL_HELD_BYTES", 100_000)
    (tmp_path / "d").mkdir()
    receiver = Receiver(str(tmp_path / "d"), **notes(tmp_path))
    receiver.stat(Entry("a", FILE, size=5000))
    for _ in range(5000):
        receiver.data(0, b"x")
        assert len(receiver._incoming[0].held) < 1000
    receiver.end(0)
    receiver.finish()
    assert receiver._held_bytes == 0
    assert (tmp_path / "d/a").read_bytes() == b"x" * 5000
