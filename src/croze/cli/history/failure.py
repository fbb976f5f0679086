"""Why a recorded build failed: its error, the lines of the file, the last of the step's log."""

from __future__ import annotations

import base64
import re

from msgspec import Struct

from croze.client import history
from croze.errors import SourceDetail, VertexDetail
from croze.progress.errors import excerpt
from croze.rpc.library import grpc

LAST_LINES = 16
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
    name, output = "", b""
    async for response in history.status(channel, ref):
        name = next((v.name for v in response.vertexes if v.digest == digest), name)
        for log in response.logs:
            if log.vertex == digest:
                output = (output + log.msg)[-LAST_LINES * 4096 :]
    lines = [line for line in re.split(r"\n", output.decode(errors="replace")) if line]
    return name, tuple(lines[-LAST_LINES:])
