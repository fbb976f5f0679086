"""Options that are one line of comma-separated values."""

from __future__ import annotations

from croze.errors import InvalidRequest
from croze.gotypes import csv_line


def csv_fields(text: str, what: str) -> list[str]:
    """The fields of an option, which is called `what` in errors; none if it is empty. Raises
    `InvalidRequest`."""
    try:
        return csv_line.fields(text) if text else []
    except InvalidRequest as error:
        raise error.wrap(f"failed to parse {what}") from None
