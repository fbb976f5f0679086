"""Where progress is shown: standard error, in bytes."""

from __future__ import annotations

import codecs
import io
import sys
from typing import BinaryIO, TextIO


def standard_error() -> BinaryIO:
    """The process's standard error, or what a notebook or a test has put in its place, which takes
    text only."""
    return getattr(sys.stderr, "buffer", None) or io.BufferedWriter(_Text(sys.stderr))


class _Text(io.RawIOBase):
    """Bytes as text, characters that come in two parts included."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(memoryview(data))  # type: ignore[arg-type]  # any buffer, as io has it
        self._out.write(self._decoder.decode(part))
        return len(part)
