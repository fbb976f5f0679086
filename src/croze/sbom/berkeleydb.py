"""Values of a Berkeley DB hash database: what rpm kept its headers in before 4.16.

Source: Berkeley DB `src/dbinc/db_page.h` (formats 4.x and 5.x, of either byte order). Pages are
looked at one after the other; which bucket a pair is in makes no difference to those who want all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from croze.sbom.package import MalformedDatabase

_MAGIC = 0x061561
_HEADER_BYTES = 26
_HASH_PAGES = frozenset({2, 13})
"""Unsorted as before 4.6, and sorted."""
_META, _OVERFLOW = 8, 7
_KEY_DATA, _OFF_PAGE = 1, 3
_MIN_PAGE, _MAX_PAGE = 512, 64 << 10


def values(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The values of all pairs in a file of `size` bytes; together they are no longer than it.
    Raises `MalformedDatabase` where it can't be read on."""
    database = _Database(file, size)
    for number in range(1, database.pages):
        yield from database.values_of(number)


class _Database:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        file.seek(0)
        meta = file.read(72)
        if len(meta) < 72:
            raise MalformedDatabase
        self._order = "<" if meta[12:16] == _MAGIC.to_bytes(4, "little") else ">"
        magic, _, page_size, encrypted, kind = struct.unpack_from(f"{self._order}IIIBB", meta, 12)
        if magic != _MAGIC or kind != _META or encrypted:
            raise MalformedDatabase
        if not _MIN_PAGE <= page_size <= _MAX_PAGE or page_size & (page_size - 1):
            raise MalformedDatabase
        self._page_size = page_size
        self._left = size
        self.pages = size // page_size

    def values_of(self, number: int) -> Iterator[bytes]:
        """The odd items of a hash page; none of other pages."""
        page = self._page(number)
        count, kind = self._numbers("H", page, 20), page[25]
        if kind not in _HASH_PAGES:
            return
        if _HEADER_BYTES + 2 * count > len(page):
            raise MalformedDatabase
        offsets = struct.unpack_from(f"{self._order}{count}H", page, _HEADER_BYTES)
        for index in range(1, count, 2):
            # Items grow from the page's end towards its start.
            yield self._item(page[offsets[index] : offsets[index - 1]])

    def _item(self, item: bytes) -> bytes:
        if item[:1] == bytes([_KEY_DATA]):
            return self._counted(item[1:])
        if item[:1] == bytes([_OFF_PAGE]) and len(item) >= 12:
            first, length = struct.unpack_from(f"{self._order}II", item, 4)
            return self._chain(first, length)
        return b""  # a duplicate, which rpm has none of

    def _chain(self, number: int, length: int) -> bytes:
        """A value too long for a page, on pages of its own."""
        data = bytearray()
        while number and len(data) < length:
            page = self._page(number)
            if page[25] != _OVERFLOW:
                raise MalformedDatabase
            used = self._numbers("H", page, 22)
            if not used:
                raise MalformedDatabase
            data += self._counted(page[_HEADER_BYTES : _HEADER_BYTES + used])
            number = self._numbers("I", page, 16)
        return bytes(data[:length])

    def _counted(self, data: bytes) -> bytes:
        """Pages that several items claim don't make more of the file than it is."""
        self._left -= len(data)
        if self._left < 0:
            raise MalformedDatabase
        return data

    def _page(self, number: int) -> bytes:
        if number >= self.pages:
            raise MalformedDatabase
        self._file.seek(number * self._page_size)
        page = self._file.read(self._page_size)
        if len(page) < self._page_size:
            raise MalformedDatabase
        return page

    def _numbers(self, kind: str, page: bytes, offset: int) -> int:
        (value,) = struct.unpack_from(f"{self._order}{kind}", page, offset)
        return int(value)
