"""rpm's packages: headers (format: rpm's docs/manual) in a database of three kinds.

SQLite since rpm 4.16, Berkeley DB before, ndb with SUSE's.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress

from croze.fs.temporary import temporary_directory
from croze.sbom import berkeleydb, ndb
from croze.sbom.package import Distribution, MalformedDatabase, Package, purl
from croze.sbom.tree import FILES_TRIED, ScannedTree

_FOLDERS = ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
_SQLITE, _NDB, _BERKELEY = "rpmdb.sqlite", "Packages.db", "Packages"
DATABASES = frozenset(
    f"{folder}/{name}" for folder in _FOLDERS for name in (_SQLITE, _NDB, _BERKELEY)
)
_MAX_DATABASE_BYTES = 512 << 20
_MAX_HEADER_BYTES = 64 << 20
_MAX_SECONDS = 20.0
_MAX_ENTRIES = 1 << 16
_ENTRY = struct.Struct(">4I")
_INT32, _STRING, _STRINGS, _I18N = 4, 6, 8, 9
_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003
_VENDOR, _LICENSE, _ARCH = 1011, 1014, 1022
_DIR_INDEXES, _BASE_NAMES, _DIR_NAMES = 1116, 1117, 1118

_USED = frozenset(
    {
        *(_NAME, _VERSION, _RELEASE, _EPOCH, _VENDOR, _LICENSE, _ARCH),
        *(_DIR_INDEXES, _BASE_NAMES, _DIR_NAMES),
    }
)
_MAX_VALUES = 1 << 20
"""The most values of one tag: a package has fewer files."""

Value = str | list[str] | list[int]


def packages(tree: ScannedTree, path: str, distribution: Distribution) -> Iterator[Package]:
    """The packages in an rpm database. One that can't be read has none; of a damaged one those
    before the damage."""
    for data in _headers(tree, path):
        header = parse_header(data)
        if isinstance(header.get(_NAME), str) and header[_NAME] != "gpg-pubkey":
            yield _package(tree, path, header, distribution)


def _headers(tree: ScannedTree, path: str) -> Iterator[bytes]:
    name = path.rpartition("/")[2]
    if name == _SQLITE:
        with temporary_directory("rpm") as folder:
            copy = os.path.join(folder, _SQLITE)
            with open(copy, "wb") as file:
                tree.copy(path, file.fileno(), _MAX_DATABASE_BYTES)
            yield from _rows(copy)
    elif (fd := tree.open(path)) is not None:
        with os.fdopen(fd, "rb") as file, suppress(MalformedDatabase):
            size = min(os.fstat(fd).st_size, _MAX_DATABASE_BYTES)
            yield from (ndb if name == _NDB else berkeleydb).values(file, size)


def _rows(path: str) -> Iterator[bytes]:
    """Only of a real table, and not for ever: the schema is anyone's, too. No more bytes than the
    file has: rows may share their pages, and pages follow themselves."""
    end = time.monotonic() + _MAX_SECONDS
    kind = "SELECT 1 FROM sqlite_master WHERE name = 'Packages' AND type = 'table'"
    try:
        uri = f"file:{path}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            database.set_progress_handler(lambda: time.monotonic() > end, 1000)
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_HEADER_BYTES)
            if database.execute(kind).fetchone() is not None:
                rows = database.execute("SELECT blob FROM Packages")
                yield from _up_to(os.stat(path).st_size, (row[0] for row in rows))
    except sqlite3.Error:
        return


def _up_to(remaining_bytes: int, values: Iterable[object]) -> Iterator[bytes]:
    """The first of those values that are bytes, as long as they are no more than so many."""
    for data in values:
        if isinstance(data, bytes):
            remaining_bytes -= len(data)
            if remaining_bytes < 0:
                return
            yield data


def parse_header(data: bytes) -> dict[int, Value]:
    """The tags of a header blob that are used here, each once, as several may claim the same bytes;
    what is broken is left out."""
    try:
        count, size = struct.unpack_from(">2I", data)
    except struct.error:
        return {}
    start = 8 + 16 * count
    if count > _MAX_ENTRIES or start + size > len(data):
        return {}
    store = data[start : start + size]
    tags: dict[int, Value] = {}
    for number in range(count):
        tag, kind, offset, length = _ENTRY.unpack_from(data, 8 + 16 * number)
        value = _value(store, kind, offset, length) if tag in _USED - tags.keys() else None
        if value is not None:
            tags[tag] = value
    return tags


def _value(store: bytes, kind: int, offset: int, count: int) -> Value | None:
    if count > _MAX_VALUES:
        return None
    if kind == _INT32 and offset + 4 * count <= len(store):
        return list(struct.unpack_from(f">{count}I", store, offset))
    if kind in (_STRING, _I18N):
        return _string(store, offset)[0]
    if kind == _STRINGS and count <= len(store):
        texts = []
        for _ in range(count):
            text, offset = _string(store, offset)
            texts.append(text)
        return texts
    return None


def _string(store: bytes, offset: int) -> tuple[str, int]:
    end = store.find(b"\0", offset)
    end = len(store) if end < 0 else end
    return store[offset:end].decode("utf-8", "replace"), end + 1


def _package(
    tree: ScannedTree, path: str, header: dict[int, Value], distribution: Distribution
) -> Package:
    name, version = _text(header, _NAME), _text(header, _VERSION)
    release, epoch = _text(header, _RELEASE), header.get(_EPOCH)
    full = f"{version}-{release}" if release else version
    qualifiers = {
        "arch": _text(header, _ARCH),
        "epoch": str(epoch[0]) if isinstance(epoch, list) and epoch and epoch[0] else "",
        "distro": distribution.named,
    }
    return Package(
        kind="rpm",
        name=name,
        version=full,
        purl=purl("rpm", distribution.id, name, full, qualifiers),
        source=path,
        evidence=_evidence(tree, header),
        license=_text(header, _LICENSE),
        supplier=_text(header, _VENDOR),
    )


def _text(header: dict[int, Value], tag: int) -> str:
    value = header.get(tag)
    return value if isinstance(value, str) else ""


def _evidence(tree: ScannedTree, header: dict[int, Value]) -> str:
    """The first of its files that is there."""
    names, folders = header.get(_BASE_NAMES), header.get(_DIR_NAMES)
    indexes = header.get(_DIR_INDEXES)
    if not (isinstance(names, list) and isinstance(folders, list) and isinstance(indexes, list)):
        return ""
    for name, index in zip(names[:FILES_TRIED], indexes, strict=False):
        if isinstance(index, int) and index < len(folders):
            path = f"{folders[index]}{name}".lstrip("/")
            if tree.exists(path):
                return path
    return ""
