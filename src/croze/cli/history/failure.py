"""Why a recorded build failed: its error, the lines of the file, the last of the step's log."""

from __future__ import annotations

import base64
import re
from collections import deque

from msgspec import Struct

from croze.client.records import history
from croze.errors import SourceDetail, VertexDetail
from croze.progress.errors import excerpt
from croze.rpc.library import grpc

LAST_LINES = 16
LONGEST = 4096
"""Bytes of a line that are shown."""
_BY_LINES = re.compile(rb"[^\n]*\n|[^\n]+")
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class BuildFailure(Struct, frozen=True):
    """A recorded build's error. `code` is gRPC's; `sources` the excerpt; `step` the name of what
    failed, `log` its last lines."""

    code: int
    message: str
    sources: str
    step: str
    log: tuple[str, ...]

    @property
    def status(self) -> str:
        """`canceled` or `failed`; empty when the daemon recorded details and no error."""
        if not self.code:
            return ""
        return "canceled" if _NAMES.get(self.code) == "CANCELLED" else "failed"

    @property
    def code_name(self) -> str:
        """The code as Go calls it: `InvalidArgument`."""
        name = _NAMES.get(self.code, f"CODE({self.code})")
        return (
            "Canceled" if name == "CANCELLED" else name.replace("_", " ").title().replace(" ", "")
        )

    def members(self) -> dict[str, object]:
        """The members of `inspect`'s JSON."""
        members: dict[str, object] = {
            "Code": self.code,
            "Message": self.message,
            "Name": self.step,
            "Logs": list(self.log),
            "Sources": base64.b64encode(self.sources.encode()).decode("ascii"),
        }
        return {name: value for name, value in members.items() if value}


async def failure(channel: grpc.aio.Channel, record: history.Record) -> BuildFailure | None:
    """Why a build failed; None for one that did not. Raises `CrozeError`."""
    if not record.HasField("error") and not record.HasField("externalError"):
        return None
    sources, step = "", ""
    log: tuple[str, ...] = ()
    error = await history.error_of(channel, record)
    if error is not None and record.HasField("externalError"):
        details = (detail for detail in error.details if isinstance(detail, SourceDetail))
        sources = "".join(f"{excerpt(detail)}\n" for detail in details)
        vertex = next((d for d in error.details if isinstance(d, VertexDetail)), None)
        if vertex is not None:
            step, log = await _log(channel, record.Ref, vertex.digest)
    return BuildFailure(record.error.code, record.error.message, sources, step, log)


async def _log(channel: grpc.aio.Channel, ref: str, digest: str) -> tuple[str, tuple[str, ...]]:
    """A step's name and the last lines of what it said."""
    name, lines = "", LogLines()
    async for response in history.status(channel, ref):
        name = next((v.name for v in response.vertexes if v.digest == digest), name)
        for log in response.logs:
            if log.vertex == digest:
                lines.add(log.stream, log.msg)
    return name, lines.last()


class LogLines:
    """The last lines of a log, in the order in which they began: each stream has its own."""

    def __init__(self) -> None:
        self._lines: deque[bytearray] = deque(maxlen=LAST_LINES)
        self._open: dict[int, bytearray] = {}

    def add(self, stream: int, output: bytes) -> None:
        """More of a stream: it goes on with the line that the stream left unfinished."""
        for part in _BY_LINES.findall(output):
            line = self._open.pop(stream, None)
            if line is None:
                line = bytearray()
                if part != b"\n":
                    self._lines.append(line)
            line += part.removesuffix(b"\n")[: LONGEST - len(line)]
            if not part.endswith(b"\n"):
                self._open[stream] = line

    def last(self) -> tuple[str, ...]:
        """The lines that say something."""
        return tuple(line.decode(errors="replace") for line in self._lines if line)
