"""Layer blobs: about as large as what BuildKit makes, and the same however they are written."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest
from isal import isal_zlib

from croze.fs.tar.blob import BlobWriter
from croze.fs.tar.compress import BlobSums

SIZE = 1 << 20
GO_BYTES = 366_552
"""What Go's `compress/gzip` makes of `text()` at its default level."""


def text() -> bytes:
    """Words, the same every time: some often, most seldom, as in what people write."""
    chance = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = [
        "".join(chance.choices(letters, k=chance.randint(2, 9))).encode() for _ in range(5_000)
    ]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    lines = b"\n".join(b" ".join(chance.choices(words, weights, k=12)) for _ in range(20_000))
    return lines[:SIZE]


def random_bytes() -> bytes:
    return random.Random(2).randbytes(SIZE)


def write(path: Path, data: bytes, step: int, level: int | None = None) -> BlobSums:
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    try:
        with BlobWriter(fd, "gzip", level) as blob:
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


@pytest.mark.parametrize("level", [None, 1, 4])
def test_the_same_in_pieces_of_any_size(tmp_path: Path, level: int | None) -> None:
    data = text()[:400_000] + random_bytes()[:600_000]
    sums = write(tmp_path / "l", data, len(data), level)
    assert gzip.decompress((tmp_path / "l").read_bytes()) == data
    for step in (70_001, 1 << 18):
        assert write(tmp_path / "l", data, step, level) == sums
