"""Tars as they arrive, beside Python's own reader."""

from __future__ import annotations

import asyncio
import io
import tarfile

import pytest

from croze.engineapi.images.tarmembers import members
from croze.errors import InvalidRequest


class Bytes:
    """Given bytes, as a `Reader`."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    async def readexactly(self, n: int) -> bytes:
        data = self._file.read(n)
        if len(data) < n:
            raise asyncio.IncompleteReadError(data, n)
        return data

    async def read(self, n: int) -> bytes:
        return self._file.read(n)


def read(data: bytes) -> list[tuple[str, str, bytes]]:
    async def run() -> list[tuple[str, str, bytes]]:
        found = []
        async for member in members(Bytes(data)):
            content = b"".join([piece async for piece in member.pieces()])
            found.append((member.name, member.link, content))
        return found

    return asyncio.run(run())


def archive(format: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as made:
        for name, size in (("empty", 0), ("a" * 200, 512), ("d/b\u00e9", 300_000)):
            info = tarfile.TarInfo(name)
            info.size = size
            made.addfile(info, io.BytesIO(b"x" * size))
        for kind, name in ((tarfile.SYMTYPE, "sym"), (tarfile.LNKTYPE, "l" * 150)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "t" * 150
            made.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
    return out.getvalue()


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_every_form(format: int) -> None:
    assert read(archive(format)) == [
        ("empty", "", b""),
        ("a" * 200, "", b"x" * 512),
        ("d/b\u00e9", "", b"x" * 300_000),
        ("sym", "t" * 150, b""),
        ("l" * 150, "t" * 150, b""),
    ]


@pytest.mark.parametrize("cut", [100, 512, 1500, 100_000])
def test_cut_off(cut: int) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        read(archive(tarfile.PAX_FORMAT)[:cut])


def pax(record: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    return info.tobuf() + record.ljust(512, b"\0") + tarfile.TarInfo("f").tobuf() + bytes(1024)


@pytest.mark.parametrize("record", [b"0 a=b\n", b"99 a=b\n", b"x", b"12 size=-77\n", b"-1 a=b\n"])
def test_bad_pax_headers(record: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(pax(record))


def test_headers_that_are_too_long() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    with pytest.raises(InvalidRequest, match="a header of 8589934592 bytes"):
        read(info.tobuf(tarfile.GNU_FORMAT))
