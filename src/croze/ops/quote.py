"""Go's `%q`: texts in BuildKit's error messages are quoted like this."""

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


def quote(text: str) -> str:
    """`text` in double quotes, with what can't be printed escaped."""
    return '"' + "".join(map(_char, text)) + '"'


def _char(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char == " " or char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
