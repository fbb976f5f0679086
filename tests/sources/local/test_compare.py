"""What a client tells of a directory, compared with what was told of those that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from croze.fs.sync.mirror import save_state
from croze.fs.sync.replay import Replay, fingerprint
from croze.sources.local import compare as local_compare
from croze.sources.local.compare import AsBefore
from croze.sources.local.kept import MOST, KeptCandidate, KeptDir, KeptTarget

FAILED = b"\x08\x04failed"
"""The sender's error."""


def stat(name: str) -> bytes:
    return b"\x12" + name.encode()


class Kept(KeptDir):
    """Directories of which these lists were told, the last used first."""

    def __init__(self, folder: Path, lists: Sequence[Sequence[bytes]]) -> None:
        self.lists = lists
        self.folder = folder
        for number, packets in enumerate(lists):
            save_state(str(folder / f"state{number}"), 0, [], packets)
            (folder / f"index{number}").touch()

    def candidates(self) -> Iterator[KeptCandidate]:
        return map(self._candidate, range(min(MOST, len(self.lists))))

    def alike(self, fingerprint_: str) -> Iterator[KeptCandidate]:
        prints = map(fingerprint, self.lists)
        return (self._candidate(n) for n, each in enumerate(prints) if each == fingerprint_)

    def _candidate(self, number: int) -> KeptCandidate:
        names = [str(self.folder / f"{kind}{number}") for kind in ("state", "index")]
        return KeptCandidate(str(number), *names)


Batches = Sequence[Sequence[bytes]]


async def compared(
    folder: Path, lists: Sequence[Sequence[bytes]], batches: Batches
) -> tuple[str, list[bytes]]:
    """Which directory it is, or is near to, and what is to be told to that."""
    before = await AsBefore.of(Kept(folder, lists), asyncio.Event(), may_hold=True)
    for number, batch in enumerate(batches):
        count = before.same_again(batch)
        if before.is_same:
            assert count == len(batch)
            return before.near_id, []
        if count < len(batch):
            rest = [
                *batch[count:],
                *(packet for later in batches[number + 1 :] for packet in later),
            ]
            return before.near_id, [*before.replayed(before.near_id), *rest]
    return before.near_id, before.replayed("")


A, B, C, D = (stat(name) for name in "abcd")
END = b""
FAR = [[stat(f"x{n}"), B] for n in range(2 * MOST)]


@pytest.mark.parametrize(
    ("lists", "batches", "expected"),
    [
        pytest.param([[A, B]], [[A], [B, END]], ("0", []), id="the same"),
        pytest.param([[A, B], [A, C]], [[A, C, END]], ("1", []), id="another"),
        pytest.param([[A, B], [A, C]], [[A], [C], [END]], ("1", []), id="piece by piece"),
        pytest.param([*FAR, [A, B]], [[A, B], [END]], (str(2 * MOST), []), id="far away"),
        pytest.param([[A, B], [A, C]], [[A, D, END]], ("0", [D, END]), id="one that is new"),
        pytest.param([[A, B], [C, D]], [[C, B], [END]], ("1", [B, END]), id="near to another"),
        pytest.param([[A, B], [A, B, C]], [[A, B, D, END]], ("0", [D, END]), id="longer"),
        pytest.param([[A, B], [A, B, C]], [[A, B, C], [END]], ("1", []), id="longer, and known"),
        pytest.param([[A, B, C], [A, B]], [[A, B, END]], ("1", []), id="shorter, and known"),
        pytest.param([[A, B, C], [A]], [[A, B, END]], ("0", [END]), id="shorter"),
        pytest.param([[A, B], [C]], [[END]], ("0", [END]), id="nothing"),
        pytest.param([[A, B], [A, C]], [[A, D, FAILED]], ("0", [D, FAILED]), id="an error"),
        pytest.param([[A, B], [A, C]], [[A, FAILED]], ("0", [FAILED]), id="an error at once"),
    ],
)
async def test_which_directory_it_is(
    tmp_path: Path,
    lists: Sequence[Sequence[bytes]],
    batches: Batches,
    expected: tuple[str, list[bytes]],
) -> None:
    assert await compared(tmp_path, lists, batches) == expected


async def test_a_list_too_long_to_be_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on with the one that it is near to by then."""
    monkeypatch.setattr(local_compare, "FEW_BYTES", 7)
    more = [stat(f"y{n}") for n in range(5)]
    lists = [[A, B], [A, C, D, *more], [C]]
    assert await compared(tmp_path, lists, [[A, C], [D], more, [END]]) == ("1", [])
    assert await compared(tmp_path, lists, [[A, C], [D, B], [END]]) == ("1", [B, END])
    assert await compared(tmp_path, lists, [[A, D], [D, B, END]]) == ("0", [D, D, B, END])


@pytest.mark.parametrize("is_written_to", [False, True])
async def test_a_directory_that_another_build_may_have_written_to_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_written_to: bool
) -> None:
    """What was found before it was open for writing counts only if it is still so."""
    directory, is_wanted = Kept(tmp_path, [[A, B]]), asyncio.Event()
    is_wanted.set()
    replays: list[Replay | None] = []

    async def writable(near: str = "") -> KeptTarget:
        state = str(tmp_path / "state0")
        if is_written_to:
            save_state(state, 0, [], [A, D])
        return KeptTarget(near, tmp_path, state, str(tmp_path / "index0"), None)

    monkeypatch.setattr(directory, "writable", writable)
    monkeypatch.setattr(
        local_compare, "_receiver", lambda *arguments: replays.append(arguments[-1])
    )
    before = await AsBefore.of(directory, is_wanted)
    assert before.same_again([A, C, END]) == 1
    _, again = await before.differs()
    assert (again, replays[0] is None) == (([A], True) if is_written_to else ([], False))
