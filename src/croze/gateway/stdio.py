"""The bridge over a container's standard input and output: raw HTTP/2, this side is the server.

gRPC only talks to sockets, so the bytes are pumped to an abstract Unix socket, as a session's are;
the server answers the one connection that was made here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from croze.aio.parallel import first_error
from croze.api import gateway_pb2_grpc
from croze.errors import CrozeError, PermissionDenied
from croze.gateway.forward import BridgeService
from croze.gateway.serve import ServedBuild
from croze.rpc import channels
from croze.rpc.servers import Context
from croze.runtime.backlog import Backlog
from croze.runtime.contract import ContainerSpec, Executor, Process, Stdio
from croze.session import bridge

_WAITING_CHUNKS = 16


class StdioPipe:
    """A container's standard input and output as a `bridge.Connection`."""

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
        """The container has ended."""
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
    async with first_error(), _connected(served) as sock, asyncio.TaskGroup() as group:
        running = group.create_task(executor.run(spec, process, pipe.stdio))
        pumping = group.create_task(bridge.both(pipe, sock))
        await asyncio.wait((running, pumping), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise CrozeError("frontend grpc server closed unexpectedly")
        pipe.end()
    return running.result()


@asynccontextmanager
async def _connected(served: ServedBuild) -> AsyncIterator[socket.socket]:
    """A server of one build's bridge, and the one connection that it answers."""
    name, own_name = bridge.fresh_name(), bridge.fresh_name()

    async def find(context: Context) -> ServedBuild:
        if context.peer() != f"unix-abstract:{own_name}":
            raise PermissionDenied("this build has a frontend already")
        return served

    server = channels.make_server(channels.LOCAL)
    gateway_pb2_grpc.add_LLBBridgeServicer_to_server(BridgeService(find), server)
    server.add_insecure_port(f"unix-abstract:{name}")
    await server.start()
    try:
        sock = await bridge.connect(name, own_name)
        try:
            yield sock
        finally:
            sock.close()
    finally:
        await server.stop(None)
