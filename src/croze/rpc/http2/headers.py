"""Lists of headers out of blocks (HPACK, RFC 7541).

Tables, codes and errors are the library's. Its own loop over a block takes five times as long: for
most of the strings that come, all clients send the same ones, each on a connection of its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hpack.exceptions import (
    HPACKDecodingError,
    InvalidTableSizeError,
    OversizedHeaderListError,
)
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable, table_entry_size

from croze.rpc.http2.stream import Headers

_KNOWN_BYTES: Final = 256
"""The size of the longest string that is remembered."""
_LONGEST_SHIFT: Final = 28
"""The longest integer: no size and no index is larger."""


class HeaderDecoder:
    """Decodes the headers of one connection, whose end each error is."""

    def __init__(self, most_bytes: int) -> None:
        """A list takes `most_bytes` at most, as RFC 9113 counts them (6.5.2)."""
        self._table = HeaderTable()
        self._most_bytes = most_bytes

    def decode(self, block: bytes) -> Headers:
        """All headers of a block. Raises `hpack.exceptions.HPACKError`."""
        try:
            return self._headers(block)
        except IndexError:
            raise HPACKDecodingError("a block that is cut off") from None
        except UnicodeDecodeError:
            raise HPACKDecodingError("headers that are no UTF-8") from None

    def _headers(self, block: bytes) -> Headers:
        headers: list[tuple[str, str]] = []
        at, size_bytes = self._resized(block), 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 0x7F)
                name, value = self._table.get_by_index(index)
            else:
                if first & 0x60 == 0x20:
                    raise HPACKDecodingError("another table size amid the headers")
                index, at = _integer(block, at, 0x3F if first & 0x40 else 0x0F)
                name, at = (self._table.get_by_index(index)[0], at) if index else _string(block, at)
                value, at = _string(block, at)
                if first & 0x40:
                    self._table.add(name, value)
            size_bytes += table_entry_size(name, value)
            if size_bytes > self._most_bytes:
                raise OversizedHeaderListError(f"a list of more than {self._most_bytes} bytes")
            headers.append((name.decode(), value.decode()))
        return headers

    def _resized(self, block: bytes) -> int:
        """Where the headers begin: a block may set the table's size first (4.2)."""
        at = 0
        while at < len(block) and block[at] & 0xE0 == 0x20:
            size_bytes, at = _integer(block, at, 0x1F)
            if size_bytes > HeaderTable.DEFAULT_SIZE:
                raise InvalidTableSizeError(f"a table of {size_bytes} bytes")
            self._table.maxsize = size_bytes
        return at


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """A number (5.1), and where what follows it begins. Raises `IndexError` for one that is cut
    off."""
    number = block[at] & mask
    at += 1
    if number < mask:
        return number, at
    shift = 0
    while shift <= _LONGEST_SHIFT:
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise HPACKDecodingError("a number that does not end")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """A string (5.2), and where what follows it begins."""
    is_packed = block[at] & 0x80
    length, at = _integer(block, at, 0x7F)
    end = at + length
    data = block[at:end]
    if len(data) < length:
        raise IndexError
    if is_packed:
        data = _known(data) if length <= _KNOWN_BYTES else decode_huffman(data)
    return data, end


_known = lru_cache(1024)(decode_huffman)
