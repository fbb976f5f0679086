"""What the runtime says when it can't start a process: in its log, or in the process's place.

When the kernel refuses to execute the command it is past its own log, and writes to the step's
standard error, before anything else: crun one JSON object, runc `exec FILE: exec format error`.
The objects of crun take one line each, those of crun 1.26 and later several.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec.structs import replace

from croze.files.settings import parse_json
from croze.patterns import lazy_pattern
from croze.runtime.contract import Stdio

_START = lazy_pattern(rb'\{\s*"msg":\s*"exec container process ')
_RUNC = lazy_pattern(rb"exec [^\n]+: exec format error\n")
_TEXT = lazy_pattern(
    r"exec container process (?:\(.*?\) )?`(?P<file>.*)`: (?P<reason>.*)", re.DOTALL
)
_LONGEST_BYTES = 16 << 10


class Complaint:
    """Listens to standard error. `text` is the complaint, in runc's words, if there was one."""

    def __init__(self) -> None:
        self.text = ""
        self._first = True
        self._begun = b""
        """What came of a complaint that is not all there: newer cruns write it in two pieces."""
        self._write: Callable[[bytes], None] | None = None

    def overhear(self, stdio: Stdio) -> Stdio:
        """Streams that pass on all that comes, with the complaint made readable."""
        return replace(stdio, stderr=self._filter(stdio.stderr))

    def end(self) -> None:
        """Take the end of the output: what is kept back is written as it is."""
        begun, self._begun = self._begun, b""
        if begun and self._write is not None:
            self._write(begun)

    def _filter(self, write: Callable[[bytes], None]) -> Callable[[bytes], None]:
        self._write = write

        def written(data: bytes) -> None:
            if not self._first and not self._begun:
                write(data)
                return
            self._first = False
            data, self._begun = self._begun + data, b""
            whole = data.rstrip().endswith(b"}") or len(data) > _LONGEST_BYTES
            if _START.match(data) and not whole:
                self._begun = data
            else:
                write(self._translated(data))

        return written

    def _translated(self, data: bytes) -> bytes:
        if _RUNC.fullmatch(data):
            self.text = data.decode(errors="replace").strip()
        if not _START.match(data):
            return data
        try:
            match = _TEXT.fullmatch(str(parse_json(data)["msg"]))
        except (ValueError, KeyError):
            return data
        if match is None:
            return data
        reason = match["reason"]
        self.text = _sendable(f"exec {match['file']}: {reason[:1].lower()}{reason[1:]}")
        return f"{self.text}\n".encode()


def last_error(log_file: Path) -> str:
    """The last error in a runtime's JSON log (crun and runc write the same fields)."""
    message = "the container did not start"
    with contextlib.suppress(OSError):
        for entry in _entries(log_file.read_text("utf-8", "replace")):
            if entry.get("level") in ("error", "fatal"):
                message = _sendable(str(entry.get("msg", "")))
    return message


def _sendable(text: str) -> str:
    """A text without the halves of characters that JSON can name, and UTF-8 can not."""
    return text.encode(errors="replace").decode()


def _entries(text: str) -> Iterator[dict[str, object]]:
    """The entries of a log; what is no JSON is passed over, to the end of its line."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        try:
            entry, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            text = text.partition("\n")[2]
            continue
        text = text[end:]
        if isinstance(entry, dict):
            yield entry
