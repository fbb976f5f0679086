"""Answers that are lines of JSON, as Docker streams what goes on (`pkg/jsonmessage`)."""

from __future__ import annotations

import re

import msgspec
from aiohttp import web

from croze.engineapi.answers import HEADERS
from croze.errors import CrozeError, ExitError

Line = dict[str, object]

_EXIT = re.compile(r'process "(.*)" did not complete successfully: exit code: (\d+)', re.DOTALL)


KEPT_BYTES = 1 << 20


class Lines:
    """An answer of lines, begun with the first one: what fails before that is answered with a
    status of its own. If `quiet`, what is `told` is kept back, and shown only when it comes to an
    error."""

    def __init__(self, request: web.Request, *, quiet: bool = False) -> None:
        self._request = request
        self._quiet = quiet
        self._kept: list[bytes] = []
        self._answer: web.StreamResponse | None = None

    @property
    def begun(self) -> bool:
        return self._answer is not None

    async def begin(self) -> web.StreamResponse:
        """Send the answer's head, before the first line. Idempotent."""
        if self._answer is None:
            headers = {**HEADERS, "Content-Type": "application/json"}
            self._answer = web.StreamResponse(headers=headers)
            await self._answer.prepare(self._request)
        return self._answer

    async def write(self, *lines: Line) -> None:
        if lines:
            answer = await self.begin()
            await answer.write(b"".join(map(_encoded, lines)))

    async def tell(self, *lines: Line) -> None:
        """Write lines about what goes on."""
        if not self._quiet:
            await self.write(*lines)
            return
        self._kept += map(_encoded, lines)
        while sum(map(len, self._kept)) > KEPT_BYTES:
            del self._kept[: len(self._kept) // 2 + 1]

    async def end(self) -> web.StreamResponse:
        answer = await self.begin()
        await answer.write_eof()
        return answer

    async def fail(self, error: CrozeError) -> web.StreamResponse:
        """End the answer with a line that tells the error; raises the error itself if nothing was
        written yet."""
        if self._kept:
            await (await self.begin()).write(b"".join(self._kept))
        if not self.begun:
            raise error
        await self.write(failed(error))
        return await self.end()


def _encoded(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\r\n"


def failed(error: CrozeError) -> Line:
    """The last line of an answer that failed. A command's exit code is the client's, too."""
    text = str(error)
    detail: Line = {"message": text}
    if isinstance(error, ExitError):
        if match := _EXIT.search(text):
            text = f"The command '{match[1]}' returned a non-zero code: {match[2]}"
        detail = {"code": error.exit_code, "message": text}
    return {"errorDetail": detail, "error": text}
