"""Comma-separated fields, the short form of most options.

Fields are CSV as Go reads it: a field may be quoted as a whole, and `""` inside is one quote.
"""

from __future__ import annotations

from collections.abc import Mapping

from croze.bake.errors import BakeError

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def parse_bool(text: str) -> bool | None:
    """What Go's ParseBool takes for a truth value; None for anything else."""
    return True if text in _TRUE else False if text in _FALSE else None


def fields(text: str, comma: str = ",") -> list[str]:
    found: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            field, rest, more = _quoted(rest[1:], text, comma)
        else:
            start = len(text) - len(rest)
            field, separator, rest = rest.partition(comma)
            if '"' in field:
                raise _bad(start + field.index('"') + 1, 'bare " in non-quoted-field')
            more = bool(separator)
        found.append(field)
        if not more:
            return found


def _bad(column: int, problem: str) -> BakeError:
    return BakeError(f"parse error on line 1, column {column}: {problem}")


def _quoted(rest: str, text: str, comma: str) -> tuple[str, str, bool]:
    """A quoted field behind its first quote, what follows the comma, and whether there is one."""
    pieces: list[str] = []
    while True:
        piece, quote_mark, rest = rest.partition('"')
        pieces.append(piece)
        if quote_mark and rest.startswith('"'):
            pieces.append('"')
            rest = rest[1:]
        elif quote_mark and not rest:
            return "".join(pieces), "", False
        elif quote_mark and rest.startswith(comma):
            return "".join(pieces), rest[1:], True
        else:
            raise _bad(len(text), 'extraneous or missing " in quoted-field')


def joined(pairs: Mapping[str, str]) -> str:
    """Pairs as one line of fields, in their order."""
    return ",".join(_quote(f"{key}={value}") for key, value in pairs.items())


def _quote(field: str) -> str:
    if "," in field or '"' in field:
        return '"' + field.replace('"', '""') + '"'
    return field
