"""`ExecProcess`: processes in containers, with their streams multiplexed on one call.

Of each process the frontend is told, in this order: that it started, what it says, how it ended,
that each of its outputs is closed, and that there is no more.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from croze.aio.backlog import Backlog
from croze.api import gateway_pb2
from croze.errors import AlreadyExists, CrozeError, ExitError, InvalidRequest, NotFound
from croze.gateway.containers import Wait
from croze.rpc.status import in_go_words, to_status
from croze.runtime.contract import Stdio
from croze.runtime.errors import StartError
from croze.runtime.sizes import Sizes

UNKNOWN_EXIT_CODE = 255
SIGNALS_MOST = 1024
"""For a process that is not there yet, or any more; what comes then is lost."""
START_FAILED = 1
"""The exit code of the runtime when there is no such executable."""

T = TypeVar("T")
Send = Callable[[gateway_pb2.ExecMessage], Awaitable[None]]


class ProcessHost(Protocol):
    """Runs processes in containers: `containers.GatewayContainers`."""

    def check(self, id: str) -> None:
        """See that there is a container of this id. Raises `NotFound`."""

    async def start(self, init: gateway_pb2.InitMessage, stdio: Stdio) -> Wait:
        """Start the process that `init` describes; the returned function awaits its exit code."""


class ProcessStreams:
    """What goes into one process, and what comes out of it."""

    def __init__(self, id: str, init: gateway_pb2.InitMessage, out: ExecMessages) -> None:
        self._id = id
        self._fds = frozenset(init.Fds)
        self._tty = init.Tty
        self._out = out
        self._stdin: asyncio.Queue[bytes] = asyncio.Queue()
        self._unread = Backlog()
        self._sizes = Sizes()
        self._signals: asyncio.Queue[int] = asyncio.Queue()
        self._input_ended = False

    def stdio(self) -> Stdio:
        return Stdio(
            stdout=lambda data: self._say(1, data),
            stderr=lambda data: self._say(2, data),
            stdin=self._read() if 0 in self._fds else None,
            resize=self._sizes.changes() if self._tty else None,
            signals=_forever(self._signals),
            backlog=self._out.backlog,
        )

    async def take(self, message: gateway_pb2.ExecMessage) -> None:
        """Something that the frontend sends to the process. Waits while the process reads none of
        what it was sent before."""
        match message.WhichOneof("Input"):
            case "File":
                self._write(message.File)
                await self._unread.room()
            case "Resize":
                self._sizes.put(message.Resize.Rows, message.Resize.Cols)
            case "Signal":
                number = signal_number(message.Signal.Name)
                if self._signals.qsize() < SIGNALS_MOST:
                    self._signals.put_nowait(number)

    def end_input(self) -> None:
        """Tell the process that its input ends. Idempotent."""
        if not self._input_ended:
            self._input_ended = True
            self._stdin.put_nowait(b"")

    def end_outputs(self) -> None:
        """Tell the frontend that the process says nothing more, and take from it whatever it still
        sends."""
        self._unread.lift()
        for fd in sorted(self._fds - {0}):
            self._out.file(self._id, gateway_pb2.FdMessage(Fd=fd, EOF=True))

    def _write(self, message: gateway_pb2.FdMessage) -> None:
        is_open = message.Fd == 0 and 0 in self._fds
        if not is_open or (self._input_ended and message.Data):
            raise InvalidRequest(f"fd {message.Fd} unavailable to write")
        if message.Data:
            self._unread.grew(len(message.Data))
            self._stdin.put_nowait(message.Data)
        if message.EOF:
            self.end_input()

    async def _read(self) -> AsyncIterator[bytes]:
        while data := await self._stdin.get():
            yield data
            self._unread.shrank(len(data))

    def _say(self, fd: int, data: bytes) -> None:
        if fd in self._fds:
            self._out.file(self._id, gateway_pb2.FdMessage(Fd=fd, Data=data))


class ExecMessages:
    """Messages to the frontend, in the order in which they happened."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[gateway_pb2.ExecMessage | None] = asyncio.Queue()
        self.backlog = Backlog()

    def started(self, id: str) -> None:
        self._put(gateway_pb2.ExecMessage(ProcessID=id, Started=gateway_pb2.StartedMessage()))

    def file(self, id: str, message: gateway_pb2.FdMessage) -> None:
        self._put(gateway_pb2.ExecMessage(ProcessID=id, File=message))

    def exited(self, id: str, message: gateway_pb2.ExitMessage) -> None:
        self._put(gateway_pb2.ExecMessage(ProcessID=id, Exit=message))

    def done(self, id: str) -> None:
        self._put(gateway_pb2.ExecMessage(ProcessID=id, Done=gateway_pb2.DoneMessage()))

    def close(self) -> None:
        self._queue.put_nowait(None)

    async def pump(self, send: Send) -> None:
        """Send all until `close`."""
        while (message := await self._queue.get()) is not None:
            await send(message)
            self.backlog.shrank(len(message.File.Data))

    def _put(self, message: gateway_pb2.ExecMessage) -> None:
        self.backlog.grew(len(message.File.Data))
        self._queue.put_nowait(message)


class ExecCall:
    """One call of `ExecProcess`, which may run many processes."""

    def __init__(self, containers: ProcessHost) -> None:
        self._containers = containers
        self._out = ExecMessages()
        self._streams: dict[str, ProcessStreams] = {}

    async def serve(self, incoming: AsyncIterator[gateway_pb2.ExecMessage], send: Send) -> None:
        """Carry messages until the frontend has no more to say and all its processes have ended."""
        async with asyncio.TaskGroup() as sending:
            sending.create_task(self._out.pump(send))
            async with asyncio.TaskGroup() as processes:
                async for message in incoming:
                    await self._take(message, processes)
                for streams in self._streams.values():
                    streams.end_input()
            self._out.close()

    async def _take(self, message: gateway_pb2.ExecMessage, processes: asyncio.TaskGroup) -> None:
        id = message.ProcessID
        if not id:
            raise in_go_words(InvalidRequest("ProcessID required"))
        streams = self._streams.get(id)
        if message.WhichOneof("Input") != "Init":
            if streams is None:
                raise in_go_words(NotFound(f'IO for process "{id}" not found'))
            await streams.take(message)
            return
        if streams is not None:
            raise in_go_words(AlreadyExists(f"Process {id} already exists"))
        self._containers.check(message.Init.ContainerID)
        streams = self._streams[id] = ProcessStreams(id, message.Init, self._out)
        processes.create_task(self._run(id, message.Init, streams))

    async def _run(self, id: str, init: gateway_pb2.InitMessage, streams: ProcessStreams) -> None:
        ended = await self._run_to_end(id, init, streams)
        self._out.exited(id, ended)
        streams.end_outputs()
        self._out.done(id)

    async def _run_to_end(
        self, id: str, init: gateway_pb2.InitMessage, streams: ProcessStreams
    ) -> gateway_pb2.ExitMessage:
        try:
            wait = await self._containers.start(init, streams.stdio())
        except CrozeError as error:
            self._out.started(id)  # frontends wait for it, whatever comes
            return failure(error)
        self._out.started(id)
        try:
            code = await wait()
        except StartError:
            # The runtime has written the reason to standard error itself.
            code = START_FAILED
        except CrozeError as error:
            return failure(error)
        return failure(ExitError(f"exit code: {code}", code)) if code else gateway_pb2.ExitMessage()


def failure(error: CrozeError) -> gateway_pb2.ExitMessage:
    """How a process that did not succeed is reported."""
    code = error.exit_code if isinstance(error, ExitError) else UNKNOWN_EXIT_CODE
    return gateway_pb2.ExitMessage(Code=code, Error=to_status(error))


def signal_number(name: str) -> int:
    """The number of `INT` and the like: names as the protocol has them, without `SIG`."""
    try:
        return signal.Signals[f"SIG{name}"]
    except KeyError:
        raise in_go_words(InvalidRequest(f"Unknown signal {name}")) from None


async def _forever(queue: asyncio.Queue[T]) -> AsyncIterator[T]:
    while True:
        yield await queue.get()
