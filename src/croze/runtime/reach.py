"""A container's files from outside: starts `inroot`, and passes on what it says."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from croze.errors import CrozeError
from croze.files.installation import check_installation
from croze.files.interpreter import own_environment
from croze.gotypes import gojson
from croze.runtime.inroot import InRootReply, PathStat, RootedRequest

LINE_BYTES = 1 << 20
CHUNK_BYTES = 1 << 18


class Reaching:
    """One request for a container's files, answered by a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def outcome(self) -> PathStat | None:
        """The answer's head: what is at the path, or None after a `put`. Raises what went wrong."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise CrozeError("the copy was broken off: the container has ended, or was changed")
        outcome = gojson.unmarshal(line, type=InRootReply)
        outcome.check()
        return outcome.stat

    async def pieces(self) -> AsyncIterator[bytes]:
        """The archive, after the outcome. Raises `CrozeError` if it breaks off."""
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(CHUNK_BYTES):
            yield data
        if await self._process.wait():
            raise CrozeError("the container's files could not be read to the end")

    async def feed(self, body: AsyncIterator[bytes]) -> None:
        """Send an archive to a `put`. What it does not read any more is thrown away."""
        stdin = self._process.stdin
        assert stdin is not None
        async for data in body:
            with contextlib.suppress(ConnectionError):
                stdin.write(data)
                await stdin.drain()
        stdin.close()

    async def close(self) -> None:
        """Kill the process if it still runs, and wait for its end. Idempotent."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def reaching(request: RootedRequest) -> AsyncIterator[Reaching]:
    """Start a request; its process has ended when the block is left."""
    check_installation()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "croze.runtime.inroot"),
        msgspec.json.encode(request).decode(),
        stdin=PIPE if request.op == "put" else DEVNULL,
        stdout=PIPE,
        limit=LINE_BYTES,
        env=own_environment(),
    )
    reached = Reaching(process)
    try:
        yield reached
    finally:
        await reached.close()
