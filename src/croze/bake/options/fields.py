"""Comma-separated fields, the short form of most options, with the errors of Bake: who reads a
file adds to those where in it the option stands."""

from __future__ import annotations

from croze.bake.errors import BakeError
from croze.errors import InvalidRequest
from croze.gotypes import csv_line


def fields(text: str, comma: str = ",") -> list[str]:
    """The fields of a line. Raises `BakeError`."""
    try:
        return csv_line.fields(text, comma)
    except InvalidRequest as error:
        raise BakeError(str(error)) from None
