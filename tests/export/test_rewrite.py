"""Layers made by other programs than Go's, with their times lowered."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from croze.errors import Corrupted
from croze.export.rewrite import rewrite_layer

EPOCH_S = 1_000_000_000
BLOCK = 512


def archive(format: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for name, mtime in (("old", 5), ("new", 2_000_000_000)):
            member = tarfile.TarInfo(name)
            member.mtime, member.size = mtime, 3
            tar.addfile(member, io.BytesIO(b"abc"))
    return out.getvalue()


def rewritten(source: bytes, folder: Path) -> bytes:
    (folder / "in").write_bytes(source)
    rewrite_layer(str(folder / "in"), str(folder / "out"), "uncompressed", None, EPOCH_S)
    return (folder / "out").read_bytes()


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_end_is_two_blocks(tmp_path: Path, format: int) -> None:
    """Python's, like GNU tar, fills up to 10,240 bytes; others write none."""
    whole = archive(format)
    members = whole[: 4 * BLOCK]
    want = rewritten(whole, tmp_path)
    assert len(want) == 6 * BLOCK
    assert want[4 * BLOCK :] == bytes(2 * BLOCK)
    with tarfile.open(fileobj=io.BytesIO(want)) as tar:
        assert [(m.name, m.mtime) for m in tar] == [("old", 5), ("new", EPOCH_S)]
    for ending in (b"", bytes(BLOCK), bytes(2 * BLOCK), bytes(2 * BLOCK) + members):
        assert rewritten(members + ending, tmp_path) == want


def test_one_block_of_zeros_is_no_end(tmp_path: Path) -> None:
    members = archive(tarfile.USTAR_FORMAT)[: 4 * BLOCK]
    with pytest.raises(Corrupted, match="a block of zeros is followed by another"):
        rewritten(members + bytes(BLOCK) + members, tmp_path)


def test_numbers_are_spelled_as_go_spells_them(tmp_path: Path) -> None:
    """Python leaves out a file's device, others write blanks before or behind."""
    whole = bytearray(archive(tarfile.USTAR_FORMAT))
    whole[329:345] = bytes(16)
    whole[100:108] = b"   644 \0"
    want = rewritten(bytes(whole), tmp_path)
    assert want[100:108] == b"0000644\0"
    assert want[329:345] == b"0000000\0" * 2
    with tarfile.open(fileobj=io.BytesIO(want)) as tar:
        assert [(m.mode, m.devmajor) for m in tar] == [(0o644, 0)] * 2


def test_a_time_that_is_lowered_needs_no_record(tmp_path: Path) -> None:
    """As Go writes them: whole seconds of a modification are in the header alone."""
    records = {
        "one": {"mtime": "2000000000.5"},
        "three": {"mtime": "2000000000.5", "atime": "2000000000.5", "ctime": "5.5"},
        "old": {"mtime": "5.5"},
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, headers in records.items():
            member = tarfile.TarInfo(name)
            member.pax_headers = headers
            tar.addfile(member)
    want = rewritten(out.getvalue(), tmp_path)
    assert want[:3] == b"one"
    with tarfile.open(fileobj=io.BytesIO(want)) as tar:
        assert {m.name: dict(m.pax_headers) for m in tar} == {
            "one": {},
            "three": {"atime": "1000000000", "ctime": "5.5"},
            "old": {"mtime": "5.5"},
        }
        assert [m.mtime for m in tar] == [EPOCH_S, EPOCH_S, 5.5]


def test_a_record_tells_a_size_that_a_header_cannot(tmp_path: Path) -> None:
    """Files of 8 GiB and more have it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("file")
        member.pax_headers = {"size": "600"}
        tar.addfile(member)
        data = bytes(range(200)) * 3
        source = out.getvalue()[: 3 * BLOCK] + data.ljust(2 * BLOCK, b"\0")
    want = rewritten(source, tmp_path)
    assert len(want) == 7 * BLOCK
    with tarfile.open(fileobj=io.BytesIO(want)) as tar:
        file = tar.extractfile("file")
        assert file is not None
        assert file.read() == data


def with_records(records: bytes, said: bytes = b"") -> bytes:
    """A layer of one file whose PAX records take so many bytes, or as many as is `said`."""
    whole = archive(tarfile.USTAR_FORMAT)
    header = bytearray(whole[:BLOCK])
    header[124:136] = said or b"%011o\0" % len(records)
    header[156:157] = b"x"
    return bytes(header) + records.ljust(-(-len(records) // BLOCK) * BLOCK, b"\0") + whole


@pytest.mark.parametrize(
    "layer",
    [
        with_records(b"", b"-1\0".ljust(12, b"\0")),
        with_records(b"", b"\xff" * 12),
        with_records(b"", b"%011o\0" % (2 << 20)),
        with_records(b"9" * 5000 + b" a=b\n"),
        with_records(b"0 a=b\n"),
        with_records(b"99 a=b\n"),
        with_records(b"13 size=" + b"-1\n\n\n"),
        with_records(b"5010 size=" + b"9" * 4999 + b"\n"),
    ],
)
def test_sizes_that_nothing_has(tmp_path: Path, layer: bytes) -> None:
    """Such layers come from registries; a worker neither waits for ever nor reads all of it."""
    with pytest.raises(Corrupted, match="layer has"):
        rewritten(layer, tmp_path)
