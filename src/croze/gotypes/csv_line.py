"""One line of CSV, as buildx's and BuildKit's `csvvalue` reads it.

A field may be quoted as a whole; `""` inside is one quote. An end of line at the end is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

from croze.errors import InvalidRequest
from croze.gotypes.strings import to_bytes


def fields(text: str, comma: str = ",") -> list[str]:
    """The fields of one line. Raises `InvalidRequest`; the message for an empty one is `EOF`."""
    line = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not line:
        raise InvalidRequest("EOF")
    parsed: list[str] = []
    at = 0
    while True:
        if line.startswith('"', at):
            field, at = _quoted(line, at + 1, comma)
        else:
            end = line.find(comma, at)
            end = len(line) if end < 0 else end
            field, begun, at = line[at:end], at, end
            if '"' in field:
                raise _wrong(line, begun + field.index('"'), 'bare " in non-quoted-field')
        parsed.append(field)
        if at >= len(line):
            return parsed
        at += len(comma)


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


def _quoted(line: str, at: int, comma: str) -> tuple[str, int]:
    """The text of a quoted field, whose first quote is before `at`, and where it ends."""
    pieces: list[str] = []
    while True:
        end = line.find('"', at)
        if end < 0:
            raise _wrong(line, at, _MISSING)
        pieces.append(line[at:end])
        at = end + 1
        if line.startswith('"', at):
            pieces.append('"')
            at += 1
        elif at == len(line) or line.startswith(comma, at):
            return "".join(pieces), at
        else:
            raise _wrong(line, end, _MISSING)


_MISSING = 'extraneous or missing " in quoted-field'


def _wrong(line: str, at: int, why: str) -> InvalidRequest:
    """Columns count bytes, from 1."""
    column = len(to_bytes(line[:at])) + 1
    return InvalidRequest(f"parse error on line 1, column {column}: {why}")


def join(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs as one line of CSV."""
    return ",".join(_quote(f"{key}={value}") for key, value in pairs)


def _quote(field: str) -> str:
    if "," in field or '"' in field:
        return '"' + field.replace('"', '""') + '"'
    return field
