"""Contexts from standard input: one request brings the bytes, another the build that wants them.

Source: docker/cli `command/image/build_buildkit.go`: the first is a build with the id
`upload-request:ID`, the second has that ID and `remote=upload-request`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croze.engineapi.request_body import RequestBody
from croze.errors import InvalidRequest

PREFIX = "upload-request:"
REMOTE = "upload-request"
PATIENCE_S = 5.0
"""How long one of the two waits for the other."""


class _Meeting:
    def __init__(self) -> None:
        self.body: asyncio.Future[RequestBody] = asyncio.get_running_loop().create_future()
        self.wanted = asyncio.Event()
        self.done = asyncio.Event()


class Uploads:
    """The contexts that one request brings and another waits for."""

    def __init__(self) -> None:
        self._meetings: dict[str, _Meeting] = {}

    async def bring(self, id: str, body: RequestBody) -> None:
        """Hand a body to the build that waits for it, and wait until that has done with it. Raises
        `InvalidRequest` if there is no such build."""
        meeting = self._at(id)
        if meeting.body.done():
            raise InvalidRequest(f"build {id} has a context already")
        meeting.body.set_result(body)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await meeting.wanted.wait()
        except TimeoutError:
            self._meetings.pop(id, None)
            raise InvalidRequest(f"no build {id} wants the context") from None
        await meeting.done.wait()

    @asynccontextmanager
    async def brought(self, id: str) -> AsyncIterator[RequestBody]:
        """The context of a build. Raises `InvalidRequest` if nobody brings it."""
        meeting = self._at(id)
        try:
            async with asyncio.timeout(PATIENCE_S):
                body = await asyncio.shield(meeting.body)
            meeting.wanted.set()
            yield body
        except TimeoutError:
            raise InvalidRequest(f"nobody brings the context of build {id}") from None
        finally:
            meeting.done.set()
            self._meetings.pop(id, None)

    def _at(self, id: str) -> _Meeting:
        return self._meetings.setdefault(id, _Meeting())
