"""Names for what needs one: builds, sessions, records."""

from __future__ import annotations

import os

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id() -> str:
    """25 random characters of base 36, as BuildKit's ids look."""
    number = int.from_bytes(os.urandom(17), "big")
    text = ""
    for _ in range(25):
        number, digit = divmod(number, 36)
        text += _DIGITS[digit]
    return text
