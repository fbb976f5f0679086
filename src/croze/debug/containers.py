"""Containers of a held build, and what runs in them.

The first process in a container is its main one: when that ends, or any fails, the container is of
no use any more. Source: BuildKit `frontend/gateway/grpcclient`, buildx `build/invoke.go`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from croze import errors
from croze.aio.backlog import Backlog
from croze.api import gateway_pb2, stat_pb2
from croze.debug.failure import BuildOutcome
from croze.debug.invocation import Invocation
from croze.identity import new_id
from croze.rpc.clients import translated
from croze.rpc.held import HeldBuild
from croze.rpc.library import grpc
from croze.rpc.status import from_rpc_error, from_status

_MESSAGE_BYTES = 256
Written = Callable[[int, bytes], Awaitable[None]]
"""What a process writes: to which of its descriptors, and what. It waits for who takes that."""


class DebugContainer:
    """A container of a held build; made by `open_container`, given back by `release`."""

    def __init__(self, bridge: HeldBuild, outcome: BuildOutcome, id: str) -> None:
        self._bridge = bridge
        self._outcome = outcome
        self._id = id
        self._main_started = False
        self.usable = True

    async def run(self, invocation: Invocation, process: DebugProcess) -> None:
        """Run a process to its end; when cancelled, kill it. Raises `ExitError` when it fails."""
        is_main, self._main_started = not self._main_started, True
        try:
            await process.run(self._bridge, self._init(invocation))
        except BaseException:
            self.usable = False
            raise
        finally:
            if is_main:
                self.usable = False

    def _init(self, invocation: Invocation) -> gateway_pb2.InitMessage:
        meta = self._outcome.process(invocation)
        return gateway_pb2.InitMessage(
            ContainerID=self._id, Meta=meta, Fds=[0, 1, 2], Tty=invocation.tty
        )

    async def release(self) -> None:
        """Give the container back; what runs in it is killed."""
        self.usable = False
        ask = gateway_pb2.ReleaseContainerRequest(ContainerID=self._id)
        with contextlib.suppress(errors.CrozeError), translated():
            await self._bridge.stub.ReleaseContainer(ask, metadata=self._bridge.metadata)

    async def read(self, path: str, mount: int, offset: int = 0, length: int = 0) -> bytes:
        ask = gateway_pb2.ReadFileRequest(Ref=self._id, FilePath=path.encode(), MountIndex=mount)
        ask.Range.CopyFrom(gateway_pb2.FileRange(Offset=offset, Length=length))
        with translated():
            stub, metadata = self._bridge.stub, self._bridge.metadata
            return (await stub.ReadFileContainer(ask, metadata=metadata)).Data

    async def list(self, path: str, mount: int) -> Sequence[stat_pb2.Stat]:
        ask = gateway_pb2.ReadDirRequest(Ref=self._id, DirPath=path.encode(), MountIndex=mount)
        with translated():
            stub, metadata = self._bridge.stub, self._bridge.metadata
            return (await stub.ReadDirContainer(ask, metadata=metadata)).entries

    async def stat(self, path: str, mount: int) -> stat_pb2.Stat:
        ask = gateway_pb2.StatFileRequest(Ref=self._id, Path=path.encode(), MountIndex=mount)
        with translated():
            stub, metadata = self._bridge.stub, self._bridge.metadata
            return (await stub.StatFileContainer(ask, metadata=metadata)).stat


async def open_container(
    bridge: HeldBuild, outcome: BuildOutcome, invocation: Invocation
) -> DebugContainer:
    """Make a container on what a held build came to. Raises `CrozeError`."""
    id = new_id()
    ask = gateway_pb2.NewContainerRequest(
        ContainerID=id, Mounts=outcome.mounts(invocation), Network=outcome.network
    )
    with translated():
        await bridge.stub.NewContainer(ask, metadata=bridge.metadata)
    return DebugContainer(bridge, outcome, id)


class DebugProcess:
    """One process: what is written to it before it has started, or faster than it reads, waits.
    Who writes much waits for `room`."""

    def __init__(self, written: Written) -> None:
        self.id = new_id()
        self._written = written
        self._outgoing: asyncio.Queue[gateway_pb2.ExecMessage] = asyncio.Queue()
        self._unsent = Backlog()

    async def room(self) -> None:
        """Wait until what was written has been sent, but for a bounded part; or for `close`."""
        await self._unsent.room()

    def close(self) -> None:
        """Note that the process has ended, or never starts: nobody is to wait for it."""
        self._unsent.lift()

    def write(self, data: bytes) -> None:
        self._send(File=gateway_pb2.FdMessage(Fd=0, Data=data))

    def end_input(self) -> None:
        self._send(File=gateway_pb2.FdMessage(Fd=0, EOF=True))

    def resize(self, rows: int, columns: int) -> None:
        self._send(Resize=gateway_pb2.ResizeMessage(Rows=rows, Cols=columns))

    def _send(
        self,
        *,
        File: gateway_pb2.FdMessage | None = None,
        Resize: gateway_pb2.ResizeMessage | None = None,
    ) -> None:
        message = gateway_pb2.ExecMessage(ProcessID=self.id, File=File, Resize=Resize)
        self._unsent.grew(_size(message))
        self._outgoing.put_nowait(message)

    async def run(self, bridge: HeldBuild, init: gateway_pb2.InitMessage) -> None:
        first = gateway_pb2.ExecMessage(ProcessID=self.id, Init=init)
        call = bridge.stub.ExecProcess(self._messages(first), metadata=bridge.metadata)
        failed: errors.CrozeError | None = None
        try:
            async for message in call:
                match message.WhichOneof("Input"):
                    case "File" if message.File.Data:
                        await self._written(message.File.Fd, message.File.Data)
                    case "Exit":
                        failed = _exit(message.Exit)
                        self.end_input()  # BuildKit isn't done before
                    case "Done":
                        break
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()
        if failed is not None:
            raise failed

    async def _messages(
        self, first: gateway_pb2.ExecMessage
    ) -> AsyncIterator[gateway_pb2.ExecMessage]:
        yield first
        while True:
            message = await self._outgoing.get()
            yield message
            self._unsent.shrank(_size(message))


def _size(message: gateway_pb2.ExecMessage) -> int:
    """About how many bytes a message takes in memory: there may be one for each key."""
    return message.ByteSize() + _MESSAGE_BYTES


def _exit(message: gateway_pb2.ExitMessage) -> errors.CrozeError | None:
    if not message.Code:
        return None
    error = from_status(message.Error)
    if isinstance(error, errors.ExitError):
        return error
    return errors.ExitError(str(error), message.Code)
