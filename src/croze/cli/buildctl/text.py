"""Numbers, tables and JSON as `buildctl` prints them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from croze.cli.flags import UsageError
from croze.gotypes import gojson
from croze.gotypes.tabwriter import align

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
JSON = "{{json .}}"


def size(value: int, digits: int | None = 2) -> str:
    """`1.23kB`; bytes as they are. With no `digits`, as many as there are."""
    step, left = 0, float(value)
    while left >= 1000 and step < len(_UNITS) - 1:
        left, step = left / 1000, step + 1
    if not step:
        return f"{value}B"
    return f"{left:.{digits}f}{_UNITS[step]}" if digits is not None else f"{left:g}{_UNITS[step]}"


def aligned(text: str) -> str:
    return align(text, min_width=1, tab_width=8, padding=1, pad="\t")


def is_json(format: str, command: str) -> bool:
    """Raises `UsageError` for any other template than the one for JSON."""
    if format and format.replace(" ", "") != JSON.replace(" ", ""):
        raise UsageError(f"--format {format}: of templates only '{JSON}' is there", command)
    return bool(format)


def as_json(value: object) -> str:
    """On one line, members in the order they stand in."""
    return msgspec.json.format(gojson.marshal_indent_as_is(value), indent=-1).decode() + "\n"


def moment(stamp: Timestamp) -> str:
    """As JSON has it."""
    fraction = f".{stamp.nanos:09d}".rstrip("0") if stamp.nanos else ""
    return f"{second(stamp).removesuffix('Z')}{fraction}Z"


def second(stamp: Timestamp) -> str:
    """RFC 3339 without a fraction."""
    return datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
