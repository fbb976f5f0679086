r"""JSON byte for byte as Go's `encoding/json` writes it, since digests are made of those bytes.

Compact or indented by two spaces; map keys sorted, struct fields in their order; `<`, `>`, `&` and
the two Unicode line separators escaped; `\ufffd` for each byte that is not UTF-8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, overload

import msgspec

from croze.gotypes.strings import ESCAPED
from croze.patterns import lazy_pattern

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder(order="deterministic")
_ENCODER_AS_IS = msgspec.json.Encoder()
_ESCAPES = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    "\u2028".encode(): b"\\u2028",
    "\u2029".encode(): b"\\u2029",
}
MOST_PARTS = 100_000
"""The most of an object from anybody: some eight thousand descriptors."""
_MOST_DIGITS = 1000
"""Numbers are read in a time that grows with the square of their length."""
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_PARTED_BY = (b",", b"{", b"[")
_LINE_ENDS = lazy_pattern("\u2028|\u2029".encode())
_SPECIAL = lazy_pattern(b"|".join(re.escape(key) for key in _ESCAPES))


def _encode(value: object, order: Literal["deterministic"] | None = "deterministic") -> bytes:
    try:
        return (_ENCODER if order else _ENCODER_AS_IS).encode(value)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value, order=order)
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
        return ESCAPED.sub(r"\\ufffd", text).encode()


def escape(data: bytes) -> bytes:
    """JSON with `<`, `>`, `&` and the Unicode line separators as Go's `encoding/json` has them."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match.group()], data)


def omit_empty(**members: T) -> dict[str, T]:
    """The members that are not empty, as of fields with `omitempty`."""
    return {key: value for key, value in members.items() if value}


def marshal(value: object) -> bytes:
    """Compact JSON. Structs, dicts, lists, strings, numbers, booleans and None."""
    return escape(_encode(value))


def marshal_indent(value: object) -> bytes:
    """JSON indented by two spaces, without a newline at the end."""
    return escape(msgspec.json.format(_encode(value), indent=2))


def marshal_indent_as_is(value: object) -> bytes:
    """Like `marshal_indent`, with the members of dicts in the order they stand in: for a struct
    that has no class here."""
    return escape(msgspec.json.format(_encode(value, order=None), indent=2))


def marshal_unescaped(value: object) -> bytes:
    """Compact JSON with `<`, `>` and `&` as they are, and the members of dicts as they stand."""
    return _LINE_ENDS.sub(lambda match: _ESCAPES[match.group()], _encode(value, order=None))


def marshal_raw(members: Mapping[str, bytes]) -> bytes:
    """An object of values that are JSON already: keys sorted, values as they are but compact."""
    inner = (
        _encode(key) + b":" + msgspec.json.format(members[key], indent=-1)
        for key in sorted(members)
    )
    return escape(b"{" + b",".join(inner) + b"}")


@overload
def unmarshal(data: bytes | bytearray | str) -> Any: ...


@overload
def unmarshal(data: bytes | bytearray | str, *, type: type[T], strict: bool = True) -> T: ...


@overload
def unmarshal(data: bytes | bytearray | str, *, type: Any, strict: bool = True) -> Any: ...


def unmarshal(data: bytes | bytearray | str, *, type: Any = Any, strict: bool = True) -> Any:
    """Read JSON that others have written, with `\ufffd` for what is not UTF-8. Raises
    `msgspec.MsgspecError` and nothing else."""
    try:
        return msgspec.json.decode(data, type=type, strict=strict)  # noqa: TID251 - here
    except UnicodeDecodeError:
        assert not isinstance(data, str)
        return unmarshal(bytes(data).decode("utf-8", "replace"), type=type, strict=strict)
    except UnicodeEncodeError:
        assert isinstance(data, str)
        return unmarshal(ESCAPED.sub("\ufffd", data), type=type, strict=strict)
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None


def marshal_any(value: object) -> bytes:
    """Compact JSON of what was read as values of any type, which are changed: all numbers are
    floats of 64 bits then. Raises `msgspec.ValidationError` for one that is none."""
    top = [value]
    rest: list[Any] = [top]
    while rest:
        holder = rest.pop()
        for key, item in holder.items() if isinstance(holder, dict) else enumerate(holder):
            if isinstance(item, dict | list):
                if item:
                    rest.append(item)
            elif isinstance(item, float) or (type(item) is int and abs(item) > _EXACT):
                holder[key] = msgspec.Raw(_float(item).encode())
    return marshal(top[0])


def _float(number: float) -> str:
    """A number as `encoding/json` writes it (`floatEncoder`)."""
    from decimal import Decimal

    try:
        value = float(number)
    except OverflowError:
        raise msgspec.ValidationError("a number out of range") from None
    digits = Decimal(repr(value)).normalize()
    if value == 0 or _LEAST <= abs(value) < _MOST:
        return f"{digits:f}"
    exponent = digits.adjusted()
    return f"{digits.scaleb(-exponent):f}e{exponent:+d}"


_LEAST, _MOST = 1e-6, 1e21
_EXACT = 1 << 53
"""Integers up to there are floats without loss."""


def unmarshal_bounded(data: bytes) -> object:
    """Read an object that a server or an image has, without its null members. Raises
    `msgspec.MsgspecError`, for one of too many parts, too."""
    check_parts(data)
    value = unmarshal(data)
    return drop_nulls(value) if b"null" in data else value


def check_parts(data: bytes) -> None:
    """See that JSON has no more parts, nor longer numbers, than anybody means: a megabyte of
    them takes a tenth of a second, in which all others wait. Raises `msgspec.ValidationError`."""
    if not has_parts_within(data, MOST_PARTS):
        raise msgspec.ValidationError(f"more than {MOST_PARTS} parts")
    if b"0" * _MOST_DIGITS in data.translate(_DIGITS):
        raise msgspec.ValidationError(f"a number of more than {_MOST_DIGITS} digits")


def has_parts_within(data: bytes, most: int) -> bool:
    """Whether JSON has no more parts than that, as far as can be told at a glance."""
    return len(data) <= most or sum(map(data.count, _PARTED_BY)) <= most


def drop_nulls(value: object) -> object:
    """Remove null members of objects, as Go leaves a field untouched on null."""
    if isinstance(value, dict):
        return {key: drop_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [drop_nulls(item) for item in value]
    return value
