"""The members of a tar as they arrive, without a thread or a file. Source: POSIX pax, GNU tar."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from croze.errors import InvalidRequest

BLOCK = 512
LARGEST_HEADER_BYTES = 1 << 20
PIECE_BYTES = 1 << 18
_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_READ = (b"path", b"linkpath", b"size")
"""The keys of pax headers that say anything here."""
_LENGTH_DIGITS = 10


class ByteReader(Protocol):
    """Gives the bytes of an archive."""

    async def readexactly(self, n: int) -> bytes:
        """The next `n` bytes. Raises `asyncio.IncompleteReadError` where there are fewer."""

    async def read(self, n: int) -> bytes:
        """Some bytes, `n` at most; empty at the end."""


class ArrivedMember(Struct, frozen=True):
    """One member. Its `size` bytes are to be read with `pieces` before the next one comes."""

    name: str
    link: str
    """What a symbolic or hard link is to; empty for a file."""
    size: int
    reader: ByteReader

    async def pieces(self) -> AsyncIterator[bytes]:
        remaining_bytes = self.size
        while remaining_bytes:
            data = await self.reader.readexactly(min(remaining_bytes, PIECE_BYTES))
            remaining_bytes -= len(data)
            yield data
        await self.reader.readexactly(-self.size % BLOCK)


async def members(reader: ByteReader) -> AsyncIterator[ArrivedMember]:
    """Files and links; directories are left out. Raises `InvalidRequest` for what is no tar, and
    `asyncio.IncompleteReadError` for one that ends too early."""
    long_names: dict[str, str] = {}
    headers_bytes = 0
    while True:
        header = await reader.readexactly(BLOCK)
        if not header.strip(b"\0"):
            break
        info = _parsed(header)
        if info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, *_LONG):
            headers_bytes += info.size
            long_names |= _told(info, await _small(reader, info.size, headers_bytes))
            continue
        member = _member(info, long_names, reader)
        long_names, headers_bytes = {}, 0
        if info.isreg() or info.islnk() or info.issym():
            yield member
        elif member.size:
            raise InvalidRequest(f"unsupported member {member.name} in the archive")
    while await reader.read(PIECE_BYTES):
        pass


def _parsed(header: bytes) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise InvalidRequest(
            f"the archive is no tar ({error}): compressed ones are not served here"
        ) from error
    if info.size < 0:
        raise InvalidRequest(f"negative size of {info.name} in the archive")
    return info


async def _small(reader: ByteReader, size: int, all_bytes: int) -> bytes:
    """The content of a header that has some, with its padding read over; `all_bytes`: of the
    headers before one member. Raises `InvalidRequest` for very many."""
    if all_bytes > LARGEST_HEADER_BYTES:
        raise InvalidRequest(f"a header of {all_bytes} bytes in the archive")
    data = await reader.readexactly(size)
    await reader.readexactly(-size % BLOCK)
    return data


def _told(info: tarfile.TarInfo, data: bytes) -> dict[str, str]:
    """What a header before a member says of it."""
    if info.type in _LONG:
        return {_LONG[info.type]: data.rstrip(b"\0").decode(errors="surrogateescape")}
    if info.type == tarfile.XGLTYPE:
        return {}
    names: dict[str, str] = {}
    start = 0
    while start < len(data):
        length, space, _ = data[start : start + _LENGTH_DIGITS].partition(b" ")
        end = start + int(length) if space and length.isdigit() else start
        if not start < end <= len(data):
            raise InvalidRequest("invalid pax header in the archive")
        record = data[start + len(length) + 1 : end]
        key, _, value = record.removesuffix(b"\n").partition(b"=")
        if key in _READ:
            names[key.decode()] = value.decode(errors="surrogateescape")
        start = end
    return names


def _member(info: tarfile.TarInfo, long_names: dict[str, str], reader: ByteReader) -> ArrivedMember:
    size = long_names.get("size", str(info.size))
    if not (size.isdecimal() and len(size) < 19):
        raise InvalidRequest(f"invalid size {size} in the archive")
    link = long_names.get("linkpath", info.linkname) if not info.isreg() else ""
    return ArrivedMember(
        name=long_names.get("path", info.name),
        link=link,
        size=int(size) if info.isreg() else 0,
        reader=reader,
    )
