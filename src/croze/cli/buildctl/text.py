"""Numbers, tables and times as `buildctl` prints them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from croze.gotypes.tabwriter import align

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def size(value: int, digits: int | None = 2) -> str:
    """`1.23kB`; bytes as they are. With no `digits`, as many as there are."""
    step, scaled = 0, float(value)
    while scaled >= 1000 and step < len(_UNITS) - 1:
        scaled, step = scaled / 1000, step + 1
    if not step:
        return f"{value}B"
    return (
        f"{scaled:.{digits}f}{_UNITS[step]}" if digits is not None else f"{scaled:g}{_UNITS[step]}"
    )


def aligned(text: str) -> str:
    return align(text, min_width=1, tab_width=8, padding=1, pad="\t")


def moment(stamp: Timestamp) -> str:
    """A time as JSON has it."""
    fraction = f".{stamp.nanos:09d}".rstrip("0") if stamp.nanos else ""
    return f"{second(stamp).removesuffix('Z')}{fraction}Z"


def second(stamp: Timestamp) -> str:
    """A time as RFC 3339 without a fraction."""
    return datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def no_topic(word: str) -> int:
    """The exit code for a command that nobody knows."""
    print(f"No help topic for '{word}'", file=sys.stderr)
    return 3
