"""Process limits as docker/go-units reads them (`ParseUlimit`)."""

from __future__ import annotations

from typing import Final

from croze.errors import InvalidRequest
from croze.gotypes.numbers import parse_int

ULIMITS: Final = frozenset(
    (
        *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice"),
        *("nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
    )
)
"""The limits that there are."""
_TOO_HIGH = "ulimit soft limit must be less than or equal to hard limit"


def parse_ulimit(text: str) -> tuple[str, int, int]:
    """Name, soft and hard limit of `name=soft[:hard]`; -1 is unlimited. Raises `InvalidRequest`."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise InvalidRequest(f"invalid ulimit argument: {text}")
    if name not in ULIMITS:
        raise InvalidRequest(f"invalid ulimit type: {name}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise InvalidRequest(
            f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        )
    hard = parse_int(parts[1]) if len(parts) == 2 else None
    soft = parse_int(parts[0])
    if hard is None:
        hard = soft
    elif hard != -1 and soft == -1:
        raise InvalidRequest(f"{_TOO_HIGH}: soft: -1 (unlimited), hard: {hard}")
    elif hard != -1 and soft > hard:
        raise InvalidRequest(f"{_TOO_HIGH}: {soft} > {hard}")
    return name, soft, hard
