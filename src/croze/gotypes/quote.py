"""Text in quotes the way BuildKit's messages have it (Go's `%q`)."""

from __future__ import annotations

_SHORT = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def quote(text: str, *, is_ascii: bool = False) -> str:
    """`text` in double quotes, unprintable characters escaped, and, for `is_ascii`, all that are
    not of ASCII."""
    inner = text.translate(_ESCAPES)
    return f'"{_escaped_wide(inner) if is_ascii else inner}"'


def quote_char(char: str, *, is_ascii: bool = False) -> str:
    """A single character in single quotes."""
    inner = {"'": "\\'", '"': '"'}.get(char) or _escape(char)
    return f"'{_escaped_wide(inner) if is_ascii else inner}'"


def _escaped_wide(text: str) -> str:
    return "".join(each if each.isascii() else _escape_wide(ord(each)) for each in text)


def _escape(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return _escape_wide(code)


def _escape_wide(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _Escapes(dict[int, str]):
    """Escapes by the number of their character, made as they turn up: a text may have millions of
    characters, most of a few kinds."""

    def __missing__(self, code: int) -> str:
        escaped = _escape(chr(code))
        if code < _KEPT:
            self[code] = escaped
        return escaped


_KEPT = 1 << 11
_ESCAPES = _Escapes()
