"""The slots by which the start in bash reaches the warm process, by the warm process's end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.cli.warm import slots as module
from croze.cli.warm.slots import SLOTS, SlotCall, Slots, begin

ASK = SlotCall(slot=3, pid=42, arguments=2, fd=10, streams=(11, 12, 13))


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[Slots]:
    slots = Slots(str(tmp_path / "slots"))
    yield slots
    slots.close()
    slots.remove()
    assert not any(tmp_path.iterdir())


def said(slots: Slots, *lines: bytes) -> list[SlotCall]:
    with open(f"{slots.folder}/ask", "r+b", buffering=0) as ask:
        ask.write(b"".join(lines))
    return list(slots.asks())


def claim(slots: Slots, slot: int) -> Path:
    path = Path(f"{slots.folder}/{slot}.taken")
    path.touch(exist_ok=False)
    return path


def test_what_is_asked_is_read(slots: Slots) -> None:
    assert list(slots.asks()) == []
    other = SlotCall(4, 43, 0, 14, (15, 16, 17))
    assert said(slots, ASK.line() + b"\n", other.line() + b"\n") == [ASK, other]
    assert said(slots, ASK.line()) == []
    assert said(slots, b"\n") == [ASK], "lines are whole, but who reads may come early"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"3 42 2 10",
        b"3 42 2 10 11 12 13 14",
        b"x 42 2 10 11 12 13",
        b"-3 42 2 10 11 12 13",
        b"%d 42 2 10 11 12 13" % SLOTS,
        b"3 0 2 10 11 12 13",
        b"3 4294967296 2 10 11 12 13",
        b"3 42 2 10 11 12 " + b"1" * 100,
        "３ 42 2 10 11 12 13".encode(),
        b"\xff\0",
    ],
)
def test_what_nobody_of_ours_says_is_not_heard(slots: Slots, line: bytes) -> None:
    assert said(slots, line + b"\n", ASK.line() + b"\n") == [ASK]


def test_a_line_without_end_is_not_kept(slots: Slots) -> None:
    assert said(slots, b"1" * 60_000) == []
    assert said(slots, b"\n" + ASK.line() + b"\n") == [ASK]


def test_a_slot_is_one_callers(slots: Slots) -> None:
    answers = slots.take(3)
    with pytest.raises(KeyError):
        slots.take(3)
    claim(slots, 3)
    assert begin(slots.folder, 3)
    assert not begin(slots.folder, 3), "one of both runs the command"
    with open(f"{slots.folder}/3", "rb", buffering=0) as old:
        slots.renew(3)
        with open(f"{slots.folder}/3", "rb", buffering=0) as new:
            others = slots.take(3)
            os.write(others, b"another's\n")
            os.write(answers, b"X 0\n")
            for fd in (answers, others):
                os.close(fd)
            assert (old.read(), new.read()) == (b"X 0\n", b"another's\n")
    claim(slots, 3)
    assert begin(slots.folder, 3)


def test_one_that_was_claimed_and_forgotten_is_made_anew(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claim(slots, 5)
    slots.renew_forgotten()
    assert claimed.exists(), "the caller may be about to ask"
    monkeypatch.setattr(module, "FORGOTTEN_S", -1)
    busy = claim(slots, 6)
    os.close(slots.take(6))
    slots.renew_forgotten()
    assert not claimed.exists()
    assert busy.exists()


def test_one_that_can_not_be_made_anew_is_tried_again(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claim(slots, 5)
    os.close(slots.take(5))

    def full(_path: str, _mode: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkfifo", full)
        slots.renew(5)
        slots.renew_forgotten()
        assert claimed.exists()
    slots.renew_forgotten()
    assert not claimed.exists()
    os.close(slots.take(5))


def test_what_a_dead_process_has_left_is_replaced(slots: Slots) -> None:
    claim(slots, 1)
    again = Slots(slots.folder)
    claim(again, 1)
    assert Path(again.folder, "pid").read_text() == f"{os.getpid()}\n"
    again.close()
