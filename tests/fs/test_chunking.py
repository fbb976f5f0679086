"""Cuts depend on content alone."""

from __future__ import annotations

import io
import random

import pytest

from croze.fs.bundle.chunking import MAX_BYTES, MIN_BYTES, chunks


class Dribble(io.RawIOBase):
    """A file that gives few bytes at once."""

    def __init__(self, data: bytes, at_once: int) -> None:
        self._file, self._at_once = io.BytesIO(data), at_once

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, self._at_once))


def cut(data: bytes) -> list[bytes]:
    return list(chunks(io.BytesIO(data)))


@pytest.fixture(scope="module")
def data() -> bytes:
    return random.Random(1).randbytes(12 << 20)


def test_chunks_are_the_file(data: bytes) -> None:
    found = cut(data)
    assert b"".join(found) == data
    assert all(MIN_BYTES <= len(c) <= MAX_BYTES for c in found[:-1])
    assert 6 < len(found) < 20, "about a MiB each"


def test_how_it_is_read_makes_no_difference(data: bytes) -> None:
    dribble = Dribble(data[: 8 << 20], 77_777)
    assert list(chunks(dribble)) == cut(data[: 8 << 20])  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [0, 5 << 20, (5 << 20) + 17])
@pytest.mark.parametrize("change", ["insert", "remove", "replace"])
def test_a_change_moves_few_cuts(data: bytes, place: int, change: str) -> None:
    rest = {"insert": 0, "remove": 1000, "replace": 6}[change]
    new = b"" if change == "remove" else b"change"
    changed = data[:place] + new + data[place + rest :]
    before, after = cut(data), cut(changed)
    assert len(set(after) - set(before)) <= 3
    assert after[-1] == before[-1]


def test_nothing_but_zeros_is_cut_into_largest_chunks() -> None:
    assert {len(c) for c in cut(bytes(3 * MAX_BYTES))} == {MAX_BYTES}


def test_small_files_are_one_chunk_or_none() -> None:
    assert cut(b"") == []
    assert cut(b"a") == [b"a"]
