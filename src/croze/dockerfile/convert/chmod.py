"""`--chmod`: an octal number or a symbolic mode as of chmod(1)."""

from __future__ import annotations

import re

from msgspec import Struct

from croze.dockerfile.location import DockerfileError
from croze.patterns import lazy_pattern

_CLAUSE = r"[augo]*(?:[-+=][rstwXxugo]*)+"
_MODE = lazy_pattern(rf"{_CLAUSE}(?:,{_CLAUSE})*\Z")


class Chmod(Struct, frozen=True):
    """What `--chmod` says: `text` for a symbolic mode, `mode` for a number; with neither modes
    stay."""

    mode: int | None = None
    text: str = ""


def parse_chmod(text: str) -> Chmod:
    """Read the flag's value. Raises `DockerfileError`."""
    if not text:
        return Chmod()
    if text.isascii() and text.isdigit():
        if re.fullmatch("[0-7]+", text) and int(text, 8) <= 0o7777:
            return Chmod(mode=int(text, 8))
        raise _not_octal(text)
    if text[0].isascii() and text[0].isdigit():
        raise _not_octal(text)
    if not _MODE.match(text):
        raise DockerfileError("invalid syntax")
    return Chmod(text=text)


def _not_octal(text: str) -> DockerfileError:
    return DockerfileError(
        f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
    )
