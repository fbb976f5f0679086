"""Upper and lower case letter by letter, as Go's `strings` has it: lengths stay, and a byte that is
not UTF-8 becomes U+FFFD."""

from __future__ import annotations

from croze.gotypes.strings import shown


def to_upper(text: str) -> str:
    if text.isascii():
        return text.upper()
    return shown("".join(map(_upper, text)))


def to_lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    return shown("".join(map(_lower, text)))


def _upper(char: str) -> str:
    """Where Python has several letters, Unicode may have one: the title's."""
    for mapped in (char.upper(), char.title()):
        if len(mapped) == 1:
            return mapped
    return char


def _lower(char: str) -> str:
    return char.lower()[0]  # of U+0130 alone there are two: an `i`, and its dot
