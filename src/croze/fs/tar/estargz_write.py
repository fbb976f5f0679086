"""Writes eStargz blobs: a tar goes in, byte for byte, and its table of contents is made meanwhile.

No landmarks are added, as BuildKit adds none: they would change the tar.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import posixpath
import queue
import re
import threading
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from croze.digests import digest_of
from croze.errors import Unsupported
from croze.fs.filecopy import EarlyWriteback, write_all
from croze.fs.tar.blob import CompressedWriter
from croze.fs.tar.codecs import gzip_level
from croze.fs.tar.compress import BlobSums
from croze.fs.tar.deflate import GzipMember
from croze.fs.tar.estargz import SIZE_ANNOTATION, TOC_ANNOTATION, TOC_NAME, footer
from croze.fs.tar.header import END_OF_ARCHIVE, encode, padding
from croze.fs.tar.numbers import header_number
from croze.fs.tar.read import Member, TarReader, header_text
from croze.gotypes.strings import ESCAPED
from croze.patterns import lazy_pattern

CHUNK_BYTES = 4 << 20
"""Longer files are cut into pieces that can be read one by one."""

_PIECE = 256 << 10
_AHEAD = 8
_SECOND = 1_000_000_000
_TYPES = {
    "0": "reg", "1": "hardlink", "2": "symlink", "3": "char", "4": "block", "5": "dir", "6": "fifo",
}  # fmt: skip
_INDENT = lazy_pattern(rb"^ +", re.MULTILINE)
_ESCAPES = {c.encode(): b"\\u%04x" % ord(c) for c in "<>&\u2028\u2029"}
_SPECIAL = lazy_pattern(b"|".join(_ESCAPES))


class TocEntry(msgspec.Struct, omit_defaults=True, rename="camel"):
    """One member, or a further piece of one; in the order of the format's fields."""

    name: str
    type: str
    size: int = 0
    modtime: str = ""
    link_name: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    user_name: str = ""
    group_name: str = ""
    offset: int = 0
    dev_major: int = 0
    dev_minor: int = 0
    xattrs: dict[str, str] = {}
    digest: str = ""
    chunk_offset: int = 0
    chunk_size: int = 0
    chunk_digest: str = ""


class Hash(Protocol):
    """The part of `hashlib`'s objects that is used."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""


def layer_writer(
    fd: int, compression: str = "gzip", level: int | None = None
) -> CompressedWriter | EStargzWriter:
    """What writes a layer's tar to a descriptor in any compression."""
    if compression == "estargz":
        return EStargzWriter(fd, level)
    return CompressedWriter(fd, compression, level)


class EStargzWriter:
    """Like `blob.CompressedWriter`, for eStargz. The tar is read, compressed and hashed in a thread
    of its own."""

    def __init__(self, fd: int, level: int | None = None) -> None:
        self._members = _Members(fd, gzip_level(level))
        self._queue: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._buffer = bytearray()
        self._error: Exception | None = None
        self._toc_digest = ""
        self._thread = threading.Thread(target=self._run, name="croze-estargz", daemon=True)
        self._thread.start()

    def __enter__(self) -> EStargzWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._queue.put(b"")
            self._thread.join()

    def write(self, data: bytes, /) -> None:
        self._buffer += data
        if len(self._buffer) >= _PIECE:
            self._queue.put(bytes(self._buffer))
            self._buffer.clear()

    def write_file(self, fd: int, size: int) -> bool:
        """See `blob.LayerWriter.write_file`."""
        while size:
            data = os.read(fd, min(size, _PIECE))
            if not data:
                return False
            size -= len(data)
            self.write(data)
        return True

    def finish(self) -> BlobSums:
        """Write what is left, the table and the footer. Raises `Corrupted` for what is no tar, and
        `Unsupported` for members that a table can't have."""
        if self._buffer:
            self._queue.put(bytes(self._buffer))
            self._buffer.clear()
        self._queue.put(b"")
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._members.sums(self._toc_digest)

    def _run(self) -> None:
        source = _Source(self._queue)
        try:
            entries = _Tar(source, self._members).copy()
            self._toc_digest = self._members.end(entries)
        except Exception as error:  # raised where the writer is finished
            self._error = error
            source.drain()


class _Source:
    """The tar as it comes, and what of it was read but not written yet."""

    def __init__(self, pieces: queue.Queue[bytes]) -> None:
        self._pieces = pieces
        self._ended = False
        self._ahead = bytearray()
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        """Pieces are smaller than what is asked for, mostly; none is ever longer."""
        if self._ended:
            return b""
        piece = self._pieces.get()
        self._ended = not piece
        self._ahead += piece
        return piece

    def take(self, position: int | None = None) -> bytes:
        """What has not been taken yet, up to a position of the stream or all that came."""
        count = len(self._ahead) if position is None else position - self._at
        data = bytes(self._ahead[:count])
        del self._ahead[:count]
        self._at += count
        return data

    def drain(self) -> None:
        while self.read():
            self._ahead.clear()


class _Members:
    """The gzip members of a blob, with the sums of what goes in and what comes out."""

    def __init__(self, fd: int, level: int) -> None:
        self._fd = fd
        self._writeback = EarlyWriteback(fd)
        self._level = level
        self._gzip: GzipMember | None = None
        self._buffer = bytearray()
        self._plain = hashlib.sha256()
        self._plain_size = 0
        self._out = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Into the current member, or a new one."""
        self._plain.update(data)
        self._plain_size += len(data)
        self._buffer += data
        if len(self._buffer) >= _PIECE:
            self._flush()

    def cut(self) -> int:
        """End the current member; where in the blob the next one starts."""
        if self._buffer or self._gzip is not None:
            member = self._gzip or GzipMember(self._level)
            self._put(member.end(bytes(self._buffer)))
            self._buffer.clear()
            self._gzip = None
        return self._writeback.size

    def end(self, entries: list[TocEntry]) -> str:
        """Write the table and the footer; the table's digest."""
        offset = self.cut()
        toc = _toc_json(entries)
        header = encode(TOC_NAME, b"0", 0, size=len(toc))
        self.write(header + toc + padding(len(toc)) + END_OF_ARCHIVE)
        self.cut()
        self._put(footer(offset))
        return digest_of(toc)

    def sums(self, toc_digest: str) -> BlobSums:
        return BlobSums(
            "sha256:" + self._out.hexdigest(),
            "sha256:" + self._plain.hexdigest(),
            self._writeback.size,
            {TOC_ANNOTATION: toc_digest, SIZE_ANNOTATION: str(self._plain_size)},
        )

    def _flush(self) -> None:
        if self._gzip is None:
            self._gzip = GzipMember(self._level)
        self._put(self._gzip.compress(bytes(self._buffer)))
        self._buffer.clear()

    def _put(self, data: bytes) -> None:
        write_all(self._fd, data)
        self._out.update(data)
        self._writeback.wrote(len(data))


class _Tar:
    """A tar on its way into members; content begins a member, every `CHUNK_BYTES` of it."""

    def __init__(self, source: _Source, members: _Members) -> None:
        self._source = source
        self._members = members
        self._reader = TarReader(source)
        self._entries: list[TocEntry] = []
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}

    def copy(self) -> list[TocEntry]:
        """Copy the whole archive; the entries of the table."""
        for member in self._reader:
            self._check(member)
            self._members.write(self._source.take(self._reader.position))
            entry = self._entry(member)
            self._entries.append(entry)
            if member.flag == "0":
                self._content(member, entry)
        self._members.write(self._source.take())
        while self._source.read():
            self._members.write(self._source.take())
        return self._entries

    def _check(self, member: Member) -> None:
        if posixpath.normpath("/" + member.name).lstrip("/") == TOC_NAME:
            raise Unsupported("existing TOC JSON is not allowed; decompress layer before append")
        if member.sparse is not None or member.flag not in _TYPES:
            kind = "S" if member.sparse is not None else member.flag
            raise Unsupported(f"unsupported input tar entry {kind!r}")

    def _entry(self, member: Member) -> TocEntry:
        header, records = self._reader.header, self._reader.records
        user = os.fsdecode(records.get("uname", b"")) or header_text(header[265:297])
        group = os.fsdecode(records.get("gname", b"")) or header_text(header[297:329])
        xattrs = sorted((member.xattrs or {}).items())
        return TocEntry(
            member.name,
            _TYPES[member.flag],
            size=member.size,
            modtime=_modtime(member.mtime_ns),
            link_name=member.linkname if member.flag in "12" else "",
            mode=header_number(header[100:108]),
            uid=member.uid,
            gid=member.gid,
            user_name=_if_changed(self._users, member.uid, user),
            group_name=_if_changed(self._groups, member.gid, group),
            dev_major=member.devmajor,
            dev_minor=member.devminor,
            xattrs={key: base64.b64encode(value).decode() for key, value in xattrs},
        )

    def _content(self, member: Member, entry: TocEntry) -> None:
        whole = hashlib.sha256()
        first, at = entry, 0
        while at < member.size:
            if at:
                entry = TocEntry(member.name, "chunk")
                self._entries.append(entry)
            size = min(CHUNK_BYTES, member.size - at)
            entry.offset = self._members.cut()
            entry.chunk_offset = at
            # A last piece that is shorter goes to the end of the file and does not say its size.
            entry.chunk_size = size if size == CHUNK_BYTES else 0
            entry.chunk_digest = self._chunk(size, whole)
            at += size
        first.digest = "sha256:" + whole.hexdigest()

    def _chunk(self, size: int, whole: Hash) -> str:
        sums = hashlib.sha256()
        while size:
            data = self._reader.read(size)
            size -= len(data)
            sums.update(data)
            whole.update(data)
            self._members.write(self._source.take(self._reader.position))
        return "sha256:" + sums.hexdigest()


def _if_changed(names: dict[int, str], id: int, name: str) -> str:
    """A name is said once for each id."""
    if not name or names.get(id) == name:
        return ""
    names[id] = name
    return name


def _modtime(ns: int) -> str:
    """RFC 3339 in UTC, to the nearest second; empty for none, or one that no calendar has."""
    if ns // _SECOND == 0:
        return ""
    try:
        when = datetime.fromtimestamp((ns + _SECOND // 2) // _SECOND, UTC)
    except (OverflowError, ValueError):
        return ""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def _toc_json(entries: list[TocEntry]) -> bytes:
    """The table of contents as Go writes it, indented by tabs."""
    toc = {"version": 1, "entries": entries or None}
    try:
        data = msgspec.json.format(msgspec.json.encode(toc), indent=1)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(toc), ensure_ascii=False, indent=1)
        data = ESCAPED.sub(r"\\ufffd", text).encode()
    data = _INDENT.sub(lambda match: b"\t" * len(match[0]), data)
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], data)
