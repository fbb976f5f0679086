"""One line of CSV, as Go's `encoding/csv` and buildx's `csvvalue` read it.

A field may be quoted as a whole; `""` inside is one quote.
"""

from __future__ import annotations

from collections.abc import Iterable

from croze.errors import InvalidRequest


def fields(text: str, comma: str = ",") -> list[str]:
    """The fields of one line. Raises `InvalidRequest`."""
    parsed: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            field, rest, more = _quoted(rest, text, comma)
        else:
            start = len(text) - len(rest)
            field, separator, rest = rest.partition(comma)
            if '"' in field:
                at = start + field.index('"') + 1
                raise InvalidRequest(f'{_at(at)}: bare " in non-quoted-field')
            more = bool(separator)
        parsed.append(field)
        if not more:
            return parsed


def continued(parsed: Iterable[str], key: str) -> list[str]:
    """Fields without a `=` go on with the value before them, if that is of this key: after
    `mounts=a` a field `b` makes `mounts=a,b`."""
    joined: list[str] = []
    for field in parsed:
        if "=" not in field and joined and joined[-1].lower().startswith(f"{key}="):
            joined[-1] += f",{field}"
        else:
            joined.append(field)
    return joined


def _quoted(rest: str, text: str, comma: str) -> tuple[str, str, bool]:
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
        elif rest.startswith(comma):
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
