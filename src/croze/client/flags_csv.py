"""The comma-separated fields and key=value pairs that most flags are made of.

Fields are CSV as Go reads it: a field may be quoted as a whole, `""` inside is one quote.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from croze.errors import InvalidRequest


def fields(text: str) -> list[str]:
    """The fields of one line of CSV."""
    found: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            field, rest, more = _quoted(rest, text)
        else:
            start = len(text) - len(rest)
            field, comma, rest = rest.partition(",")
            if '"' in field:
                at = start + field.index('"') + 1
                raise InvalidRequest(f'{_at(at)}: bare " in non-quoted-field')
            more = bool(comma)
        found.append(field)
        if not more:
            return found


def _quoted(rest: str, text: str) -> tuple[str, str, bool]:
    pieces: list[str] = []
    rest = rest[1:]
    while True:
        piece, quote, rest = rest.partition('"')
        pieces.append(piece)
        if not quote:
            raise InvalidRequest(f'{_at(len(text))}: extraneous or missing " in quoted-field')
        if rest.startswith('"'):
            pieces.append('"')
            rest = rest[1:]
        elif not rest:
            return "".join(pieces), "", False
        elif rest.startswith(","):
            return "".join(pieces), rest[1:], True
        else:
            raise InvalidRequest(f'{_at(len(text))}: extraneous or missing " in quoted-field')


def _at(column: int) -> str:
    return f"parse error on line 1, column {column}"


def join(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs as one line of CSV."""
    return ",".join(_quote(f"{key}={value}") for key, value in pairs)


def _quote(field: str) -> str:
    if "," in field or '"' in field:
        return '"' + field.replace('"', '""') + '"'
    return field


def pairs(values: Iterable[str], *, from_env: bool) -> dict[str, str]:
    """`KEY=value` flags; one without a value is taken from the environment, or left out if it is
    not there; without `from_env` it is empty."""
    result: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not key:
            raise InvalidRequest(f'invalid key-value pair "{text}": empty key')
        if equals or not from_env:
            result[key] = value
        elif key in os.environ:
            result[key] = os.environ[key]
    return result


_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def bool_or_none(text: str) -> bool | None:
    """What Go's `ParseBool` takes for a boolean; None for anything else."""
    return True if text in _TRUE else False if text in _FALSE else None


def is_true(attrs: Mapping[str, str], key: str) -> bool:
    return attrs.get(key, "") in _TRUE
