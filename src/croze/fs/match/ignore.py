"""Reads `.dockerignore` files (the format of moby's ignorefile)."""

from __future__ import annotations

import os

from croze.errors import InvalidRequest
from croze.fs.paths import clean
from croze.gotypes.strings import SPACE

_MAX_LINE_BYTES = 64 * 1024


def read_ignore_file(text: bytes) -> list[str]:
    """The patterns of an ignore file, cleaned, comments left out, `!` kept in front."""
    lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if any(len(line) >= _MAX_LINE_BYTES for line in lines):
        raise InvalidRequest("bufio.Scanner: token too long")
    patterns = (_read_line(os.fsdecode(line)) for line in lines)
    return [pattern for pattern in patterns if pattern]


def _read_line(line: str) -> str:
    line = line.removesuffix("\r")
    if line.startswith("#"):
        return ""
    line = line.strip(SPACE)
    if line.startswith("!"):
        return "!" + _clean(line[1:].strip(SPACE))
    return _clean(line)


def _clean(pattern: str) -> str:
    if not pattern:
        return ""
    pattern = clean(pattern)
    return pattern[1:] if len(pattern) > 1 and pattern[0] == "/" else pattern
