"""Grapheme clusters: what HCL counts as one column, and what `strlen` counts as one character.

Follows Unicode's UAX #29 with the properties that the standard library's character database has.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_ZWJ = "\u200d"


def clusters(text: str) -> Iterator[str]:
    """The text in pieces that a reader takes for one character each."""
    if text.isascii() and "\r" not in text:
        yield from text
        return
    start = 0
    for i in range(1, len(text)):
        if _breaks(text, start, i):
            yield text[start:i]
            start = i
    if text:
        yield text[start:]


def count(text: str) -> int:
    """How many clusters the text has."""
    if text.isascii() and "\r" not in text:
        return len(text)
    return sum(1 for _ in clusters(text))


def _breaks(text: str, start: int, i: int) -> bool:
    """Whether a cluster that began at `start` ends before the character at `i`."""
    before, after = text[i - 1], text[i]
    if before == "\r" and after == "\n":
        return False
    if _is_control(before) or _is_control(after):
        return True
    if _extends(after) or after == _ZWJ:
        return False
    if before == _ZWJ and _is_pictograph(after):
        return not _is_pictograph(text[start])
    if _is_flag_letter(before) and _is_flag_letter(after):
        return (i - start) % 2 == 0
    return not _joins_hangul(before, after)


def _is_control(char: str) -> bool:
    return (
        char != _ZWJ and char != "\u200c" and unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")
    )


def _extends(char: str) -> bool:
    return (
        unicodedata.category(char) in ("Mn", "Me", "Mc")
        or char == "\u200c"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
    )


def _is_pictograph(char: str) -> bool:
    return "\U0001f000" <= char <= "\U0001faff" or (
        "\u2190" <= char <= "\u2bff" and unicodedata.category(char) == "So"
    )


def _is_flag_letter(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _joins_hangul(before: str, after: str) -> bool:
    lead = "\u1100" <= before <= "\u115f"
    syllable = "\uac00" <= before <= "\ud7a3"
    vowel = "\u1160" <= before <= "\u11a7"
    if "\u1160" <= after <= "\u11a7":
        return lead or vowel or (syllable and (ord(before) - 0xAC00) % 28 == 0)
    if "\u11a8" <= after <= "\u11ff":
        return syllable or vowel or "\u11a8" <= before <= "\u11ff"
    return lead and ("\u1100" <= after <= "\u115f" or "\uac00" <= after <= "\ud7a3")
