"""Layer blobs: about as large as what BuildKit makes, and the same however they are written."""

from __future__ import annotations

import functools
import gzip
import os
import random
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pytest
from isal import isal_zlib

from croze.fs.tar import codecs
from croze.fs.tar.blob import CompressedWriter
from croze.fs.tar.compress import BlobSums, open_reader

SIZE = 1 << 20
GO_BYTES = 366_552
"""What Go's `compress/gzip` makes of `text()` at its default level."""

GO_ZSTD_BYTES = 1707622
"""What BuildKit's library makes of `long_text()` at its default level."""


@functools.cache
def text() -> bytes:
    """Words, the same every time: some often, most seldom, as in what people write."""
    chance = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = [
        "".join(chance.choices(letters, k=chance.randint(2, 9))).encode() for _ in range(5_000)
    ]
    often = [*accumulate(1 / (rank + 1) for rank in range(len(words)))]
    lines = b"\n".join(
        b" ".join(chance.choices(words, cum_weights=often, k=12)) for _ in range(20_000)
    )
    return lines[:SIZE]


def random_bytes() -> bytes:
    return random.Random(2).randbytes(SIZE)


def write(
    path: Path, data: bytes, step: int, level: int | None = None, kind: str = "gzip"
) -> BlobSums:
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    try:
        with CompressedWriter(fd, kind, level) as blob:
            for at in range(0, len(data), step):
                blob.write(data[at : at + step])
            return blob.finish()
    finally:
        os.close(fd)


def test_about_as_large_as_buildkits(tmp_path: Path) -> None:
    """What images hold comes out smaller; random words are harder than that, for zlib, too."""
    assert write(tmp_path / "l", text(), SIZE).size < GO_BYTES * 1.01


def test_what_does_not_compress_hardly_grows(tmp_path: Path) -> None:
    assert write(tmp_path / "l", random_bytes(), SIZE).size <= SIZE * 1.0002


def test_no_byte_depends_on_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ISA-L's do, which other levels leave alone."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made by ISA-L")

    monkeypatch.setattr(isal_zlib, "compressobj", refuse)
    for data in (text(), random_bytes()):
        write(tmp_path / "l", data, SIZE)


def test_what_compresses_in_places_is_not_stored(tmp_path: Path) -> None:
    """Archives have indexes and pieces that did not compress well: Go finds them."""
    data = b"".join(
        random_bytes()[at : at + (250 << 10)] + text()[at : at + (6 << 10)]
        for at in range(0, SIZE, 256 << 10)
    )
    assert write(tmp_path / "l", data, SIZE).size < SIZE - (4 * (2 << 10))


def long_text() -> bytes:
    """Five times as much, in other letters each time."""
    shifted = (bytes((byte + shift) % 256 for byte in range(256)) for shift in range(5))
    return b"".join(map(text().translate, shifted))


def long_random() -> bytes:
    return b"".join(random.Random(seed).randbytes(SIZE) for seed in range(5))


@pytest.mark.parametrize(
    ("make", "most"), [(long_text, GO_ZSTD_BYTES), (long_random, 5 * SIZE * 1.0002)]
)
def test_zstd_is_no_larger_than_buildkits_on_any_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], bytes], most: float
) -> None:
    """However many cores there are, the bytes are the same: those of one stream or of several, as
    the content has it."""
    data, found = make(), set()
    for cores in (1, 3):
        monkeypatch.setattr(codecs, "_CORES", cores)
        for step in (70_001, len(data)):
            sums = write(tmp_path / "l", data, step, kind="zstd")
            found.add(sums.digest)
    assert len(found) == 1
    with open(tmp_path / "l", "rb") as file:
        assert open_reader(file).read(len(data)) == data
    assert sums.size <= most


def test_a_file_is_read_in_place(tmp_path: Path) -> None:
    """Into blocks that are used again; one that is too short is told of."""
    data = text() + random_bytes()
    (tmp_path / "f").write_bytes(data)
    expected = write(tmp_path / "l", b"x" * 1000 + data, SIZE)
    with (
        open(tmp_path / "f", "rb") as file,
        open(tmp_path / "m", "wb") as out,
        CompressedWriter(out.fileno()) as blob,
    ):
        blob.write(b"x" * 1000)
        assert blob.write_file(file.fileno(), len(data))
        assert blob.finish() == expected
        assert not blob.write_file(file.fileno(), 1)


@pytest.mark.parametrize("level", [None, 1, 4])
def test_the_same_in_pieces_of_any_size(tmp_path: Path, level: int | None) -> None:
    data = text()[:400_000] + random_bytes()[:600_000]
    sums = write(tmp_path / "l", data, len(data), level)
    assert gzip.decompress((tmp_path / "l").read_bytes()) == data
    for step in (70_001, 1 << 18):
        assert write(tmp_path / "l", data, step, level) == sums
