"""Upper and lower case letter by letter, as BuildKit does it: lengths stay, and a byte that is not
UTF-8 becomes U+FFFD."""

from __future__ import annotations

from croze.gotypes.strings import shown


def to_upper(text: str) -> str:
    if text.isascii():
        return text.upper()
    return shown("".join(_single(c.upper(), c) for c in text))


def to_lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    return shown("".join(_single(c.lower(), c) for c in text))


def _single(mapped: str, char: str) -> str:
    return mapped if len(mapped) == 1 else char
