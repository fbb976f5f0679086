"""Comma-separated fields, the short form of most options."""

from __future__ import annotations

from collections.abc import Mapping

from croze.bake.errors import BakeError
from croze.errors import InvalidRequest
from croze.gotypes import csv_line


def fields(text: str, comma: str = ",") -> list[str]:
    """The fields of a line; BakeError if it is none."""
    try:
        return csv_line.fields(text, comma)
    except InvalidRequest as error:
        raise BakeError(str(error)) from None


def joined(pairs: Mapping[str, str]) -> str:
    """Pairs as one line of fields, in their order."""
    return csv_line.join(pairs.items())
