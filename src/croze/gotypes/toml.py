"""TOML byte for byte as go-toml v2 marshals a map: keys sorted, values before tables, text in
single quotes where it can be.

Source: pelletier/go-toml v2 `marshaler.go`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time

from croze.errors import InvalidRequest
from croze.patterns import lazy_pattern

_BARE = lazy_pattern(r"[A-Za-z0-9_-]+\Z")
_NEEDS_ESCAPES = lazy_pattern(r"[\x00-\x08\x0a-\x1f\x7f']")
_ESCAPED = lazy_pattern(r'[\x00-\x1f\x7f"\\]')
_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def marshal(table: Mapping[str, object]) -> str:
    """The text of what `tomllib` reads. Raises `InvalidRequest` for anything else."""
    return "".join(_table(table, ()))


def _table(table: Mapping[str, object], path: tuple[str, ...]) -> Iterator[str]:
    plain = {key: table[key] for key in sorted(table) if not _is_table(table[key])}
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}\n"
    between = bool(plain)
    for key in sorted(table.keys() - plain.keys()):
        yield "\n" if between else ""
        between = True
        yield from _nested(table[key], (*path, key))


def _nested(value: object, path: tuple[str, ...]) -> Iterator[str]:
    name = ".".join(map(_key, path))
    if isinstance(value, dict):
        yield f"[{name}]\n"
        yield from _table(value, path)
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield "\n" if number else ""
            yield f"[[{name}]]\n"
            yield from _table(entry, path)


def _is_table(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(entry, dict) for entry in value)
    return isinstance(value, dict)


def _key(text: str) -> str:
    return text if _BARE.match(text) else _text(text)


def _text(text: str) -> str:
    if not _NEEDS_ESCAPES.search(text):
        return f"'{text}'"
    return '"' + _ESCAPED.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04X}", text) + '"'


def _value(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return _inline(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    raise InvalidRequest(f"a {type(value).__name__} has no form in TOML")


def _inline(table: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{_key(key)} = {_value(table[key])}" for key in sorted(table)) + "}"


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return str(int(value)) + ".0" if value == int(value) and abs(value) < 1e21 else repr(value)
