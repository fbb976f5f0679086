"""Scalars of YAML 1.2, as Docker's tools read them: `yes` and `on` are texts, days are moments."""

from __future__ import annotations

import base64
import binascii
import re
from contextlib import suppress
from typing import Final

from croze.bake.compose.moments import Moment, moment_of
from croze.errors import InvalidRequest
from croze.gotypes.numbers import parse_float, parse_int_literal, parse_uint_literal

Scalar = str | int | float | bool | None

IMPLICIT: Final = "?"
"""The tag of a plain scalar that has none."""
TEXT: Final = "!!str"
_BINARY: Final = "!!binary"
_KINDS: Final = (TEXT, "!!bool", "!!int", "!!float", "!!null", "!!timestamp")
_CONSTANTS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys(("-0", "-0.0"), -0.0),
}
_NUMERIC: Final = frozenset("+-0123456789")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LONGEST: Final = 400
"""Digits that are a number still: a float has room for no more."""


class ScalarError(Exception):
    """A scalar that is not what its tag says."""


def read_scalar(tag: str, text: str) -> Scalar:
    """What a scalar stands for; of a tag that nobody knows, its text."""
    if tag == IMPLICIT:
        return _resolved(text, day=True)
    if tag == _BINARY:
        return _from_base64(text)
    if tag == TEXT or tag not in _KINDS:
        return text
    value = _resolved(text, day=tag == "!!timestamp")
    if tag == "!!float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if _kind(value) != tag:
        raise ScalarError(f"cannot construct {_kind(value)} `{text}` as a {tag}")
    return value


def _kind(value: Scalar) -> str:
    match value:
        case None:
            return "!!null"
        case bool():
            return "!!bool"
        case int():
            return "!!int"
        case float():
            return "!!float"
        case Moment():
            return "!!timestamp"
    return TEXT


def _resolved(text: str, *, day: bool) -> Scalar:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text.startswith("."):
        return _float(text, text)
    if text[:1] not in _NUMERIC:
        return text
    moment = moment_of(text) if day else None
    return _number(text) if moment is None else moment


def _number(text: str) -> Scalar:
    plain = text.replace("_", "")
    if len(plain) > _LONGEST:
        return text
    for parse in (parse_int_literal, parse_uint_literal):
        with suppress(InvalidRequest):
            return parse(plain)
    return _float(plain, text) if _FLOAT.fullmatch(plain) else text


def _float(text: str, otherwise: str) -> Scalar:
    try:
        return parse_float(text)
    except InvalidRequest:
        return otherwise


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "surrogateescape")
    except binascii.Error:
        raise ScalarError("!!binary value contains invalid base64 data") from None
