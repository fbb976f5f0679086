"""The bridge over a container's standard input and output: raw HTTP/2, this side is the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from croze.aio.backlog import Backlog
from croze.aio.parallel import first_error
from croze.aio.share import TimeShare
from croze.api import gateway_pb2_grpc
from croze.errors import CrozeError
from croze.gateway.forward import BridgeService
from croze.gateway.serve import ServedBuild
from croze.rpc.server import Server
from croze.rpc.servers import Context
from croze.runtime.contract import ContainerSpec, Executor, Process, Stdio

_WAITING_CHUNKS = 16


class StdioPipe:
    """A container's standard input and output as a `rpc.bytestream.ByteStream`."""

    def __init__(self, on_stderr: Callable[[bytes], None]) -> None:
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self._to_say: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_CHUNKS)
        self._unheard = Backlog()
        self.stdio = Stdio(self._hear, on_stderr, stdin=self._stdin(), backlog=self._unheard)

    def _hear(self, data: bytes) -> None:
        self._unheard.grew(len(data))
        self._said.put_nowait(data)

    async def read(self) -> bytes:
        data = await self._said.get()
        self._unheard.shrank(len(data))
        return data

    async def write(self, data: bytes) -> None:
        await self._to_say.put(data)

    def end(self) -> None:
        """Note that the container has ended."""
        self._said.put_nowait(b"")

    async def _stdin(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._to_say.get()


async def run_frontend(
    executor: Executor,
    spec: ContainerSpec,
    process: Process,
    served: ServedBuild,
    on_stderr: Callable[[bytes], None],
) -> int:
    """Run the container to its end while `served` answers it; the exit code."""
    pipe = StdioPipe(on_stderr)
    async with first_error(), asyncio.TaskGroup() as group:
        running = group.create_task(executor.run(spec, process, pipe.stdio))
        serving = group.create_task(_server(served).serve(pipe))
        await asyncio.wait((running, serving), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise CrozeError("frontend grpc server closed unexpectedly")
        pipe.end()
    return running.result()


def _server(served: ServedBuild) -> Server:
    """A server of one build's bridge."""

    async def find(context: Context) -> ServedBuild:
        return served

    server = Server(share=TimeShare())
    server.add(gateway_pb2_grpc.add_LLBBridgeServicer_to_server, BridgeService(find))
    return server
