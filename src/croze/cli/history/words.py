"""Times and sizes of records, in buildx's words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from croze.gotypes.sizes import binary_size

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


def rfc3339(stamp: Timestamp) -> str:
    """A time in UTC, with the fraction's digits that say something."""
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp.seconds))
    fraction = f".{stamp.nanos:09d}".rstrip("0").rstrip(".") if stamp.nanos else ""
    return f"{second}{fraction}Z"


def go_seconds(seconds: float) -> str:
    """A span of time such as `0.3s`, `2m 5s`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    return f"{int(seconds // 60)}m {int(seconds) % 60:2d}s"


def shown_bytes(text: str) -> str:
    """A number of bytes as a size; what is none stays as it is."""
    return binary_size(int(text)) if text.isdecimal() else text
