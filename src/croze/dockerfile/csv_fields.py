"""One line of comma-separated values, as in `--mount` and in many options.

RFC 4180 quoting with the errors of Go's `encoding/csv`, which users see.
"""

from __future__ import annotations


class CsvError(ValueError):
    """The line is broken; the text says where."""


_BARE_QUOTE = 'bare " in non-quoted-field'
_QUOTE = 'extraneous or missing " in quoted-field'


def csv_fields(line: str) -> list[str]:
    """The fields of a line. Raises `CsvError`, with the text `EOF` for an empty one."""
    rest = line.removesuffix("\n")
    rest = rest.removesuffix("\r") if rest != line else rest
    if not rest:
        raise CsvError("EOF")
    fields: list[str] = []
    at = 0
    while True:
        if rest.startswith('"', at):
            field, at = _quoted(rest, at + 1)
        else:
            field, at = _plain(rest, at)
        fields.append(field)
        if at >= len(rest):
            return fields
        at += 1  # the comma
        if at == len(rest):
            return [*fields, ""]


def _plain(line: str, start: int) -> tuple[str, int]:
    end = line.find(",", start)
    end = len(line) if end < 0 else end
    quote = line.find('"', start, end)
    if quote >= 0:
        raise _error(line, quote, _BARE_QUOTE)
    return line[start:end], end


def _quoted(line: str, start: int) -> tuple[str, int]:
    parts: list[str] = []
    while True:
        end = line.find('"', start)
        if end < 0:
            raise _error(line, start, _QUOTE)
        parts.append(line[start:end])
        following = line[end + 1 : end + 2]
        if following != '"':
            break
        parts.append('"')
        start = end + 2
    if following not in ("", ","):
        raise _error(line, end, _QUOTE)
    return "".join(parts), end + 1


def _error(line: str, at: int, what: str) -> CsvError:
    column = len(line[:at].encode("utf-8", "surrogateescape")) + 1
    return CsvError(f"parse error on line 1, column {column}: {what}")
