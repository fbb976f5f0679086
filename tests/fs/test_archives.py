"""Archives as `ADD` gets them from elsewhere: what BuildKit makes of each was looked at."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from croze.errors import Corrupted
from croze.fs.tar.archive import is_archive, unpack
from croze.fs.tar.stepwise import open_stepwise
from tests.fs.headers import header, padded, record

END = bytes(1024)
COMPRESS: list[Callable[[bytes], bytes]] = [
    gzip.compress,
    zstandard.compress,
    bz2.compress,
    lzma.compress,
]
compressed = pytest.mark.parametrize("compress", COMPRESS)


def file(name: bytes = b"f", data: bytes = b"x") -> bytes:
    return header(name, "0", len(data)) + padded(data)


def pax(*records: tuple[str, bytes]) -> bytes:
    notes = b"".join(record(key, value) for key, value in records)
    return header(b"pax", "x", len(notes)) + padded(notes)


def long_name(name: bytes) -> bytes:
    return header(b"././@LongLink", "L", len(name) + 1) + padded(name + b"\0")


def added(folder: Path, data: bytes) -> Path:
    """Where the archive was unpacked; it must be one."""
    (folder / "archive").write_bytes(data)
    dest = folder / "dest"
    dest.mkdir()
    assert unpack(str(folder / "archive"), str(dest), "/")
    return dest


@compressed
@pytest.mark.parametrize(
    "tail", [b"a signature, say", bytes(10240), b"\x1f\x8b\x08\0junk", b"\x1f"]
)
@pytest.mark.parametrize("count", [1, 300])
def test_what_is_behind_an_archive_is_left_alone(
    tmp_path: Path, compress: Callable[[bytes], bytes], tail: bytes, count: int
) -> None:
    plain = b"".join(file(b"f%d" % n, os.urandom(3000)) for n in range(count)) + END
    assert len(os.listdir(added(tmp_path, compress(plain) + tail))) == count


@pytest.mark.parametrize("cut", [4, 8])
@pytest.mark.parametrize("count", [1, 300])
def test_nor_is_a_trailer_that_is_not_right(tmp_path: Path, cut: int, count: int) -> None:
    plain = b"".join(file(b"f%d" % n, os.urandom(3000)) for n in range(count)) + END
    wrong = gzip.compress(plain)[:-cut] + b"?" * (cut - 4)
    assert len(os.listdir(added(tmp_path, wrong))) == count


@compressed
def test_one_that_is_cut_off_is_no_shorter_one(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    """Wherever that is: where a member ends, too."""
    whole = compress(b"".join(header(b"f%d" % n, "0", 0) for n in range(900)) + END)
    archive, dest = tmp_path / "archive", tmp_path / "dest"
    dest.mkdir()
    for end in range(len(whole) // 3, len(whole) - 20, len(whole) // 10):
        archive.write_bytes(whole[:end])
        if is_archive(str(archive)):
            with pytest.raises(Corrupted, match="EOF"):
                unpack(str(archive), str(dest), "/")


def test_a_damaged_one_says_so(tmp_path: Path) -> None:
    """And not that a disk is broken."""
    plain = b"".join(file(b"f%d" % n, os.urandom(3000)) for n in range(300)) + END
    first = bytearray(gzip.compress(plain[: len(plain) // 2]))
    first[-8] ^= 1
    (tmp_path / "archive").write_bytes(first + gzip.compress(plain[len(plain) // 2 :]))
    with pytest.raises(Corrupted, match="gzip: invalid checksum"):
        unpack(str(tmp_path / "archive"), str(tmp_path), "/dest")


@compressed
@pytest.mark.parametrize("size", [1, 700, 1 << 20, -1])
def test_streams_that_follow_one_another(compress: Callable[[bytes], bytes], size: int) -> None:
    data = os.urandom(70_000) + bytes(3_000_000)
    stream = b"".join(compress(part) for part in (data[:9], b"", data[9:80_000], data[80_000:]))
    reader = open_stepwise(io.BytesIO(stream))
    limit = len(data) if size > 1 or size < 0 else 500
    read = bytearray()
    while len(read) < limit and (more := reader.read(size)):
        read += more
    assert read[:limit] == data[:limit]
    if limit == len(data):
        assert reader.read(1) == b""


def test_all_that_a_gzip_header_may_have(tmp_path: Path) -> None:
    plain = file(b"f", b"x" * 70_000) + END
    fields = struct.pack("<H", 60_000) + bytes(60_000) + b"n" * 90_000 + b"\0comment\0" + b"\0\0"
    start = b"\x1f\x8b\x08\x1e" + bytes(6) + fields
    assert os.listdir(added(tmp_path, start + gzip.compress(plain)[10:])) == ["f"]
    endless = tmp_path / "endless"
    endless.write_bytes(start[:10] + bytes(2) + b"n" * (1 << 20))
    assert not unpack(str(endless), str(tmp_path / "dest"), "/")


@pytest.mark.parametrize(
    ("time", "told"),
    [
        (b"-5.5", 0),
        (b"99999999999999", 0),
        (b"9223372036854775807", 0),
        (b"+7.25", 7_250_000_000),
        (b"1.9999999999999", 1_999_999_999),
    ],
)
def test_times(tmp_path: Path, time: bytes, told: int) -> None:
    dest = added(tmp_path, pax(("mtime", time)) + file() + END)
    assert (dest / "f").stat().st_mtime_ns == told


@pytest.mark.root
@pytest.mark.parametrize(
    ("id", "told"),
    [(b"-1", 0), (b"4294967295", 0), (b"4294967296", 0), (b"4294967303", 7), (b"-2", 4294967294)],
)
def test_owners_are_cut_to_32_bits(tmp_path: Path, id: bytes, told: int) -> None:
    dest = added(tmp_path, pax(("uid", id), ("gid", id)) + file() + END)
    found = (dest / "f").stat()
    assert (found.st_uid, found.st_gid) == (told, told)


@pytest.mark.parametrize("size", [b"-1", b"+-1", b"", b"1_0", b"1 "])
def test_sizes_that_are_none(tmp_path: Path, size: bytes) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(pax(("size", size)) + file() + END)
    assert unpack(str(archive), str(tmp_path), "/dest") == (size == b"")


@pytest.mark.parametrize("swapped", [False, True])
def test_gnus_long_name_goes_before_that_of_a_record(tmp_path: Path, swapped: bool) -> None:
    both = [pax(("path", b"record")), long_name(b"long")]
    dest = added(tmp_path, b"".join(reversed(both) if swapped else both) + file() + END)
    assert os.listdir(dest) == ["long"]


@pytest.mark.parametrize(
    "records",
    [
        [("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.name", b"n")],
        [("GNU.sparse.name", b"n")],
        [("GNU.sparse.major", b"1")],
    ],
)
def test_sparse_files_of_no_known_version_are_files(
    tmp_path: Path, records: list[tuple[str, bytes]]
) -> None:
    dest = added(tmp_path, pax(*records) + file() + END)
    assert (dest / "f").read_bytes() == b"x"


def test_tarfile_is_understood(tmp_path: Path) -> None:
    """Of whoever writes negative times and owners in the oldest way."""
    info = tarfile.TarInfo("f")
    info.mtime = -5
    info.uid = -1
    data = info.tobuf(tarfile.GNU_FORMAT) + END
    assert (added(tmp_path, data) / "f").stat().st_mtime == 0


@pytest.mark.parametrize(
    ("name", "mode"), [(b"/", 0o711), (b"//", 0o711), (b".", 0o700), (b"./", 0o700)]
)
def test_only_a_root_that_is_called_so_describes_the_target(
    tmp_path: Path, name: bytes, mode: int
) -> None:
    plain = header(name, "5", 0, mode=0o711, ids=(5, 6), mtime=1000) + file()
    (tmp_path / "archive").write_bytes(plain + END)
    dest = tmp_path / "dest"
    dest.mkdir(mode=0o700)
    assert unpack(str(tmp_path / "archive"), str(dest), "/")
    found = dest.stat()
    assert found.st_mode & 0o777 == mode
    is_described = mode == 0o711
    assert (found.st_uid == 5, found.st_mtime == 1000) == (is_described, is_described)
