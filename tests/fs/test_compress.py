"""Layer blobs: about as large as what BuildKit makes, and the same however they are written."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from isal import isal_zlib

from croze.errors import InvalidRequest
from croze.fs.tar import codecs
from croze.fs.tar.blob import CompressedWriter
from croze.fs.tar.compress import BlobSums, open_reader
from croze.fs.tar.deflate import GzipMember
from tests.fs.corpora import (
    SIZE,
    archive,
    little,
    long_random,
    long_text,
    long_text_twice,
    random_bytes,
    tables,
    text,
    tiny_files,
    zeros,
)

LEVELS = [None, *range(10)]


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


@pytest.mark.parametrize(
    ("kind", "make", "go_bytes", "most"),
    [
        ("gzip", text, 366_552, 1.01),  # random words are harder than others, for zlib
        ("gzip", archive, 2_421_000, 1.001),
        ("gzip", tables, 248_246, 1),
        ("gzip", tiny_files, 31_360, 1.005),
        ("gzip", zeros, 5_131, 1),
        ("gzip", little, 30, 1),
        ("zstd", long_text, 1_707_622, 1),
        ("zstd", long_text_twice, 1_744_712, 1),
        ("zstd", long_random, 5 * SIZE, 1.0002),
        ("zstd", archive, 2_423_599, 1),
        ("zstd", zeros, 563, 1),
    ],
)
def test_about_as_large_as_buildkits(
    tmp_path: Path, kind: str, make: Callable[[], bytes], go_bytes: int, most: float
) -> None:
    """What its libraries make of the same at their default level. What images hold comes out
    smaller (`docs/performance.md`)."""
    data = make()
    sums = write(tmp_path / "l", data, SIZE, kind=kind)
    with open(tmp_path / "l", "rb") as file:
        assert open_reader(file).read(len(data) + 1) == data
    assert sums.size <= go_bytes * most


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("make", [text, tables, tiny_files, long_text, long_random])
def test_the_same_on_any_number_of_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, make: Callable[[], bytes]
) -> None:
    data, digests = make(), set()
    for cores in (1, 3):
        monkeypatch.setattr(codecs, "_CORES", cores)
        monkeypatch.setattr(GzipMember, "threads", cores)
        for step in (70_001, len(data)):
            digests.add(write(tmp_path / "l", data, step, kind=kind).digest)
    assert len(digests) == 1
    with open(tmp_path / "l", "rb") as file:
        assert open_reader(file).read(len(data) + 1) == data


def test_what_does_not_compress_hardly_grows(tmp_path: Path) -> None:
    assert write(tmp_path / "l", random_bytes(), SIZE).size <= SIZE * 1.0002


def test_no_byte_depends_on_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ISA-L's do, which all levels but 1 leave alone."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made by ISA-L")

    monkeypatch.setattr(isal_zlib, "compressobj", refuse)
    for data in (text(), random_bytes(), tables()):
        for level in (None, *range(2, 10)):
            write(tmp_path / "l", data, SIZE, level)


def test_what_compresses_in_places_is_not_stored(tmp_path: Path) -> None:
    """Archives have indexes and pieces that did not compress well: Go finds them."""
    data = b"".join(
        random_bytes()[at : at + (250 << 10)] + text()[at : at + (6 << 10)]
        for at in range(0, SIZE, 256 << 10)
    )
    assert write(tmp_path / "l", data, SIZE).size < SIZE - (4 * (2 << 10))


def test_what_compresses_nowhere_is_stored_beside_what_does(tmp_path: Path) -> None:
    """To look for repetitions in random bytes takes the longest of all."""
    stretch, words = 32 << 10, text()
    data = words[:stretch] + random_bytes()[: 2 * stretch] + words[stretch : 3 * stretch + 5]
    write(tmp_path / "l", data, SIZE)
    written = (tmp_path / "l").read_bytes()
    assert random_bytes()[1:stretch] in written
    assert random_bytes()[stretch : 2 * stretch - 2] in written
    assert gzip.decompress(written) == data
    assert len(written) < 4 * stretch


def test_what_comes_again_is_not_stored(tmp_path: Path) -> None:
    data = text()[:100] + random_bytes()[: 20 << 10] * 12
    assert write(tmp_path / "l", data, SIZE).size < 60 << 10


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


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_in_pieces_of_any_size(tmp_path: Path, level: int | None) -> None:
    data = text()[:400_000] + random_bytes()[:600_000] + bytes(900_000) + text()[:9]
    sums = write(tmp_path / "l", data, len(data), level)
    assert gzip.decompress((tmp_path / "l").read_bytes()) == data
    for step in (70_001, 1 << 18):
        assert write(tmp_path / "l", data, step, level) == sums


@pytest.mark.parametrize("level", [10, 13, 22, 1000])
def test_the_best_zstd_level_is_bounded(level: int) -> None:
    """BuildKit's library has four levels, and the best is what it has from 10 on. Whoever asks for
    22 gets no gigabyte of tables."""
    assert codecs.zstd_level(level) == codecs.zstd_level(10)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        codecs.zstd_level(level), window_log=codecs._WINDOW_LOG
    )
    assert parameters.estimated_compression_context_size() < 64 << 20


@pytest.mark.parametrize("level", [-3, 10, 99])
def test_there_is_no_such_level_of_gzip(level: int) -> None:
    with pytest.raises(InvalidRequest, match=f"gzip: invalid compression level: {level}$"):
        codecs.codec("gzip", level)


@pytest.mark.parametrize("level", [-2, -1, 0, 9])
def test_there_are_such_levels_of_gzip(level: int) -> None:
    assert codecs.codec("gzip", level) is not None
