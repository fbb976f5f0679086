"""The JSON form of an instruction's arguments: an array of strings, as Go's decoder reads it."""

from __future__ import annotations

import json
import math
from typing import NoReturn

from croze.gotypes.strings import shown


class NotStrings(ValueError):
    """A JSON array with members that are not strings."""


def load(text: str) -> object | None:
    """The value, or None if it is not valid JSON (or null)."""
    try:
        value: object = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value


def string_array(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None if the text isn't one. Raises `NotStrings`."""
    if not text.startswith("["):
        return None
    value = load(text)
    if not isinstance(value, list):
        return None
    if not all(isinstance(item, str) for item in value):
        raise NotStrings
    return tuple(shown(item) for item in value)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        _refuse(text)
    return value


# Numbers are only looked at, never used; as floats they can't be too long to parse.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_float, parse_int=_float)
