"""What the runtime says in a container's place when the kernel refuses to execute the command.

It is past its own log then and writes to the step's standard error, before anything else: crun one
JSON object, runc `exec FILE: exec format error`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from croze.files.settings import parse_json
from croze.runtime.contract import Stdio

_START = b'{"msg":"exec container process '
_RUNC = re.compile(rb"exec [^\n]+: exec format error\n")
_TEXT = re.compile(r"exec container process (?:\(.*?\) )?`(?P<file>.*)`: (?P<reason>.*)", re.DOTALL)


class Complaint:
    """Listens to standard error. `text` is the complaint, in runc's words, if there was one."""

    def __init__(self) -> None:
        self.text = ""
        self._first = True

    def overhear(self, stdio: Stdio) -> Stdio:
        """The same, with the complaint made readable."""
        return replace(stdio, stderr=self._filter(stdio.stderr))

    def _filter(self, write: Callable[[bytes], None]) -> Callable[[bytes], None]:
        def written(data: bytes) -> None:
            if self._first:
                self._first = False
                data = self._translated(data)
            write(data)

        return written

    def _translated(self, data: bytes) -> bytes:
        if _RUNC.fullmatch(data):
            self.text = data.decode(errors="replace").strip()
        if not data.startswith(_START):
            return data
        try:
            found = _TEXT.fullmatch(str(parse_json(data)["msg"]))
        except (ValueError, KeyError):
            return data
        if found is None:
            return data
        reason = found["reason"]
        self.text = f"exec {found['file']}: {reason[:1].lower()}{reason[1:]}"
        return f"{self.text}\n".encode()
