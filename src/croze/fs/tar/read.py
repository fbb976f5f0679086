"""Reads tar streams: V7, USTAR, PAX and GNU, with long names, big numbers and sparse files.

Made for hostile input: every length is bounded before it is used. Formats: POSIX.1-1988 (ustar),
POSIX.1-2001 (pax), GNU tar manual appendices D and E.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from croze.errors import Corrupted
from croze.fs.tar.compress import Readable
from croze.fs.tar.numbers import INVALID, decimal, header_number
from croze.fs.tar.sparse import Extent, old_gnu_map, pax_map

BLOCK = 512
_READ = 256 << 10
_MAX_SPECIAL = 1 << 20
_MAX_SPECIALS = 100
"""How many headers may prepare one member."""
_XATTR = "SCHILY.xattr."
_ZERO = bytes(BLOCK)


class Member(msgspec.Struct, gc=False):
    """One header."""

    name: str
    flag: str
    """Type letter; `0` for all kinds of regular files, `5` for directories."""
    mode: int
    uid: int
    gid: int
    size: int
    """Bytes of content; of a sparse file all of it."""
    mtime_ns: int
    linkname: str = ""
    devmajor: int = 0
    devminor: int = 0
    xattrs: dict[str, bytes] | None = None
    sparse: list[Extent] | None = None
    """Where the stored bytes belong, if there are holes."""


class TarReader:
    """Members in order; each one's content must be read or skipped before the next is asked for
    (what is left is skipped)."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._buffer = b""
        self._at = 0
        self._left = 0
        """Bytes of content and padding not read yet."""
        self._padding = 0
        self._fed = 0
        self.header = b""
        """The last block of the current member's header."""
        self.records: dict[str, bytes] = {}
        """The PAX records of the current member."""

    @property
    def position(self) -> int:
        """How many bytes of the stream were taken: after `next`, where the content starts."""
        return self._fed - len(self._buffer) + self._at

    def __iter__(self) -> Iterator[Member]:
        while (member := self.next()) is not None:
            yield member

    def next(self) -> Member | None:
        """The next member, or None at the end. Raises Corrupted."""
        records: dict[str, bytes] = {}
        pairs: list[tuple[str, bytes]] = []
        name = link = None
        for _ in range(_MAX_SPECIALS):
            self._skip()
            block = self._header()
            if block is None:
                return None
            flag = block[156:157]
            size = header_number(block[124:136])
            if flag in (b"x", b"X"):
                pairs = _records(self._special(size))
                records = dict(pairs)
            elif flag == b"g":
                self._special(size)
            elif flag == b"L":
                name = header_text(self._special(size))
            elif flag == b"K":
                link = header_text(self._special(size))
            else:
                return _checked(self._member(block, size, records, pairs, name, link))
        raise Corrupted(INVALID)

    def _member(
        self,
        block: bytes,
        size: int,
        records: dict[str, bytes],
        pairs: list[tuple[str, bytes]],
        name: str | None,
        link: str | None,
    ) -> Member:
        member = _parse(block, size)
        self.header, self.records = block, records
        if records:
            _apply_records(member, records)
        member.name = name or member.name
        member.linkname = link or member.linkname
        stored = member.size
        if member.flag in "123456":
            stored = member.size = 0
        self._left, self._padding = stored, -stored % BLOCK
        if block[156:157] == b"S":
            member.sparse, member.size = old_gnu_map(block, self._extension)
        elif any(key.startswith("GNU.sparse.") for key in records):
            member.sparse, member.size, member.name = pax_map(member, pairs, self.read_exact)
        if block[156:157] == b"\0" and member.name.endswith("/"):  # as before POSIX
            member.flag = "5"
        return member

    def _extension(self) -> bytes:
        return self._take(BLOCK)

    def _header(self) -> bytes | None:
        block = self._take(BLOCK, may_end=True)
        if not block:
            return None
        if block == _ZERO:
            second = self._take(BLOCK, may_end=True)
            if second and second != _ZERO:
                raise Corrupted(INVALID)
            return None
        unsigned = sum(block) - sum(block[148:156]) + 256
        stated = header_number(block[148:156])
        if stated != unsigned and stated != unsigned - 256 * sum(
            byte > 127 for byte in block[:148] + block[156:]
        ):
            raise Corrupted(INVALID)
        return block

    def _special(self, size: int) -> bytes:
        if size > _MAX_SPECIAL:
            raise Corrupted("archive/tar: header field too long")
        data = self._take(size)
        self._take(-size % BLOCK)
        return data

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the current content as stored; empty at its end."""
        size = min(size, self._left)
        if not size:
            return b""
        if self._at == len(self._buffer):
            self._fill()
        data = self._buffer[self._at : self._at + size]
        self._at += len(data)
        self._left -= len(data)
        return data

    def read_exact(self, size: int) -> bytes:
        """Exactly `size` bytes of the current content. Raises Corrupted if it has less."""
        if size > self._left:
            raise Corrupted(INVALID)
        self._left -= size
        return self._take(size)

    def _skip(self) -> None:
        while self._left:
            self.read(self._left)
        if self._padding:
            # Go tolerates an archive that ends in the last padding.
            self._take(self._padding, may_end=True)
            self._padding = 0

    def _take(self, size: int, *, may_end: bool = False) -> bytes:
        """Exactly `size` raw bytes; empty if the stream ends just here and that is allowed."""
        if not size:
            return b""
        end = self._at + size
        if end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            return data
        parts = [self._buffer[self._at :]]
        missing = size - len(parts[0])
        while missing:
            chunk = self._source.read(_READ)
            self._fed += len(chunk)
            if not chunk:
                if may_end and not any(parts):
                    return b""
                raise Corrupted("unexpected EOF")
            parts.append(chunk[:missing])
            self._buffer, self._at = chunk, min(missing, len(chunk))
            missing -= len(parts[-1])
        return b"".join(parts)

    def _fill(self) -> None:
        self._buffer, self._at = self._source.read(_READ), 0
        self._fed += len(self._buffer)
        if not self._buffer:
            raise Corrupted("unexpected EOF")


def _checked(member: Member) -> Member:
    """The member, if its names and numbers are such as system calls take. Raises Corrupted."""
    if "\0" in member.name or "\0" in member.linkname:
        raise Corrupted(INVALID)
    if member.size < 0:
        raise Corrupted(INVALID)
    return member


def _parse(block: bytes, size: int) -> Member:
    flag = chr(block[156])
    name = header_text(block[0:100])
    magic = block[257:263]
    if magic == b"ustar\0" and block[345]:
        name = f"{header_text(block[345:500])}/{name}"
    numbers = magic[:5] == b"ustar" and flag in "34"
    return Member(
        name,
        "0" if flag in "\0007S" else flag,
        header_number(block[100:108], signed=True) & 0o7777,
        header_number(block[108:116], signed=True),
        header_number(block[116:124], signed=True),
        size,
        header_number(block[136:148], signed=True) * 1_000_000_000,
        header_text(block[157:257]),
        header_number(block[329:337]) if numbers else 0,
        header_number(block[337:345]) if numbers else 0,
    )


def _apply_records(member: Member, records: dict[str, bytes]) -> None:
    xattrs: dict[str, bytes] = {}
    for key, value in records.items():
        if key == "path":
            member.name = os.fsdecode(value) or member.name
        elif key == "linkpath":
            member.linkname = os.fsdecode(value) or member.linkname
        elif key in ("uid", "gid", "size"):
            if value:
                setattr(member, key, decimal(value, signed=True))
        elif key == "mtime":
            member.mtime_ns = _seconds(value) if value else member.mtime_ns
        elif key.startswith(_XATTR):
            xattrs[key.removeprefix(_XATTR)] = value
    member.xattrs = xattrs or None


def _records(data: bytes) -> list[tuple[str, bytes]]:
    """PAX records in order. Raises Corrupted."""
    result = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        if space < 0 or not data[at:space].isdigit():
            raise Corrupted(INVALID)
        end = at + int(data[at:space])
        record = data[space + 1 : end]
        key, equals, value = record.partition(b"=")
        if end > len(data) or not equals or not key or b"\0" in key or not value.endswith(b"\n"):
            raise Corrupted(INVALID)
        result.append((os.fsdecode(key), value[:-1]))
        at = end
    return result


def header_text(field: bytes) -> str:
    """The text in a field of a header, up to the first zero byte."""
    end = field.find(b"\0")
    return os.fsdecode(field if end < 0 else field[:end])


def _seconds(value: bytes) -> int:
    """A PAX time, which may have a fraction and a sign, in nanoseconds."""
    whole, _, part = value.partition(b".")
    if part and not part.isdigit():
        raise Corrupted(INVALID)
    fraction = int(part[:9].ljust(9, b"0"))
    return decimal(whole, signed=True) * 1_000_000_000 + (
        -fraction if whole.startswith(b"-") else fraction
    )
