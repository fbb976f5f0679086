"""Numbers and texts that are written in a template.

Source: Go `text/template/parse` (node.go, newNumber), `strconv`.
"""

from __future__ import annotations

import ast
from contextlib import suppress
from typing import Final

from croze.errors import InvalidRequest
from croze.gotypes.numbers import parse_float, parse_int_literal, parse_uint_literal
from croze.gotypes.quote import quote
from croze.gotypes.strings import from_bytes
from croze.patterns import lazy_pattern

_ESCAPE: Final = (
    r"[abfnrtv\\{quote}]|[0-3][0-7]{{2}}|x[0-9a-fA-F]{{2}}|u[0-9a-fA-F]{{4}}|U[0-9a-fA-F]{{8}}"
)
_ESCAPED: Final = {
    mark: lazy_pattern(r"\\(" + _ESCAPE.format(quote=mark) + r")|(\\)") for mark in "\"'"
}


def number(text: str) -> int | float | complex:
    """The number, of the type that its form says. Raises `ValueError`, with what is wrong."""
    with suppress(InvalidRequest):
        if text.endswith("i"):
            return complex(0, parse_float(text[:-1]))
    for read in (parse_int_literal, parse_uint_literal):
        with suppress(InvalidRequest):
            return read(text)
    try:
        value = parse_float(text)
    except InvalidRequest:
        raise ValueError(f"illegal number syntax: {quote(text)}") from None
    if not set(text) & set(".eEpP"):
        raise ValueError(f"integer overflow: {quote(text)}")
    return value


def sum_of(text: str) -> complex:
    """A complex number, `1+2i`. Raises `ValueError`."""
    try:
        return complex(text.replace("_", "").replace("i", "j"))
    except ValueError:
        raise ValueError("syntax error scanning complex number") from None


def unquoted(text: str) -> str:
    """A text between quotes or backticks. Raises `ValueError`."""
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    return from_bytes(b"".join(_pieces(text[1:-1], '"')))


def character(text: str) -> int:
    """What is between apostrophes, as a number. Raises `ValueError`."""
    inner = text[1:-1]
    pieces = _pieces(inner, "'")
    if not pieces:
        raise ValueError("invalid syntax")
    if len(pieces) > 1 or not (inner.startswith("\\") or len(inner) == 1):
        raise ValueError(f"malformed character constant: {text}")
    if inner[1:2] and inner[1] in "x01234567":
        return pieces[0][0]
    return ord(pieces[0].decode("utf-8", "surrogatepass"))


def _pieces(text: str, mark: str) -> list[bytes]:
    """A text between its escapes, and what these stand for. Raises `ValueError`."""
    pieces: list[str | bytes] = []
    at = 0
    for escape in _ESCAPED[mark].finditer(text):
        if escape[2]:
            raise ValueError("invalid syntax")
        pieces += [text[at : escape.start()], _meant(escape[1])]
        at = escape.end()
    pieces.append(text[at:])
    return [
        p if isinstance(p, bytes) else p.encode("utf-8", "surrogateescape") for p in pieces if p
    ]


def _meant(escape: str) -> bytes:
    if escape[0] in "01234567":
        return bytes([int(escape, 8)])
    if escape[0] == "x":
        return bytes([int(escape[1:], 16)])
    if escape[0] in "uU":
        code = int(escape[1:], 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise ValueError("invalid syntax")
        return chr(code).encode()
    return str(ast.literal_eval(f'"\\{escape}"')).encode()
