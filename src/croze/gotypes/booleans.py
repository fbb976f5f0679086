"""Truth values, as Go's `strconv.ParseBool` reads them."""

from __future__ import annotations

from croze.errors import CrozeError, InvalidRequest
from croze.gotypes.quote import quote

TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def parse_bool(text: str) -> bool | None:
    """The truth value; None for what is neither true nor false."""
    return True if text in TRUE else False if text in FALSE else None


def checked_bool(text: str, failure: str = "", error: type[CrozeError] = InvalidRequest) -> bool:
    """Like `parse_bool`, but for what is neither true nor false raises `error`, in Go's words;
    `failure: ` stands before them, if it is given."""
    value = parse_bool(text)
    if value is None:
        reason = f"strconv.ParseBool: parsing {quote(text)}: invalid syntax"
        raise error(f"{failure}: {reason}" if failure else reason)
    return value
