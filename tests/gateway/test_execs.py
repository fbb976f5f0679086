"""Processes in containers over one call: what goes in, what comes out, and in which order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from croze.aio.parallel import root_cause
from croze.api import gateway_pb2 as pb
from croze.api import ops_pb2
from croze.errors import AlreadyExists, CrozeError, InvalidRequest, NotFound
from croze.gateway.containers import Wait, process_of
from croze.gateway.execs import (
    SIGNALS_MOST,
    ExecCall,
    ExecMessages,
    ProcessHost,
    ProcessStreams,
    signal_number,
)
from croze.rpc.stand_ins import StatusCode
from croze.rpc.status import from_status, to_status
from croze.runtime.contract import Stdio
from croze.runtime.errors import StartError
from tests.support.waiting import PATIENCE_S

Behaviour = Callable[[Stdio], Awaitable[int]]


class Fake(ProcessHost):
    """Containers whose process does what the test says."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def check(self, id: str) -> None:
        if id != "c":
            raise NotFound(f"no container {id}")

    async def start(self, init: pb.InitMessage, stdio: Stdio) -> Wait:
        return lambda: self._behaviour(stdio)


def init(tty: bool = False) -> pb.ExecMessage:
    return pb.ExecMessage(
        ProcessID="p", Init=pb.InitMessage(ContainerID="c", Fds=[0, 1, 2], Tty=tty)
    )


def file(data: bytes = b"", *, eof: bool = False) -> pb.ExecMessage:
    return pb.ExecMessage(ProcessID="p", File=pb.FdMessage(Fd=0, Data=data, EOF=eof))


async def talk(behaviour: Behaviour, *messages: pb.ExecMessage) -> list[pb.ExecMessage]:
    """All that is answered."""
    said: list[pb.ExecMessage] = []

    async def incoming() -> AsyncIterator[pb.ExecMessage]:
        for message in messages:
            yield message

    async def send(message: pb.ExecMessage) -> None:
        said.append(message)

    try:
        async with asyncio.timeout(PATIENCE_S):
            await ExecCall(Fake(behaviour)).serve(incoming(), send)
    except BaseExceptionGroup as errors:
        raise root_cause(errors) from None
    return said


def kinds(said: list[pb.ExecMessage]) -> list[str | None]:
    return [message.WhichOneof("Input") for message in said]


async def test_streams_and_the_end_of_a_process() -> None:
    async def cat(stdio: Stdio) -> int:
        assert stdio.stdin is not None
        async for data in stdio.stdin:
            stdio.stdout(data.upper())
        stdio.stderr(b"bye")
        return 0

    said = await talk(cat, init(), file(b"a"), file(b"b"), file(eof=True))
    assert kinds(said) == ["Started", "File", "File", "File", "Exit", "File", "File", "Done"]
    assert [(m.File.Fd, m.File.Data) for m in said[1:4]] == [(1, b"A"), (1, b"B"), (2, b"bye")]
    assert [(m.File.Fd, m.File.EOF) for m in said[5:7]] == [(1, True), (2, True)]
    assert said[4].Exit.Code == 0


async def test_a_process_waits_for_a_frontend_that_does_not_listen() -> None:
    listening = asyncio.Event()
    said: list[pb.ExecMessage] = []

    async def chatter(stdio: Stdio) -> int:
        assert stdio.backlog is not None
        for _ in range(64):
            stdio.stdout(b"x" * (64 << 10))
            if stdio.backlog.full:
                listening.set()
                await stdio.backlog.room()
        return 0

    async def incoming() -> AsyncIterator[pb.ExecMessage]:
        yield init()

    async def send(message: pb.ExecMessage) -> None:
        await listening.wait()
        said.append(message)

    await ExecCall(Fake(chatter)).serve(incoming(), send)
    assert listening.is_set()
    assert sum(len(m.File.Data) for m in said) == 4 << 20


async def test_a_frontend_waits_for_a_process_that_does_not_read() -> None:
    sent = 0

    async def incoming() -> AsyncIterator[pb.ExecMessage]:
        nonlocal sent
        yield init()
        for _ in range(200):
            sent += 1
            yield file(b"x" * (64 << 10))

    ended = asyncio.Event()

    async def deaf(stdio: Stdio) -> int:
        while sent <= 15:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert sent == 16
        ended.set()
        return 0

    said: list[pb.ExecMessage] = []

    async def send(message: pb.ExecMessage) -> None:
        said.append(message)

    async with asyncio.timeout(PATIENCE_S):
        await ExecCall(Fake(deaf)).serve(incoming(), send)
    assert ended.is_set()
    assert sent == 200
    assert kinds(said)[-1] == "Done"


async def test_exit_codes_are_errors_with_their_type() -> None:
    async def fail(stdio: Stdio) -> int:
        return 3

    ended = (await talk(fail, init()))[1].Exit
    assert ended.Code == 3
    assert ended.Error.message == "exit code: 3"
    assert ended.Error.details[0].type_url.endswith("gatewayapi.ExitMessage+json")


async def test_what_can_not_run() -> None:
    async def missing(stdio: Stdio) -> int:
        raise StartError("no such file")

    async def broken(stdio: Stdio) -> int:
        raise CrozeError("no memory")

    assert (await talk(missing, init()))[1].Exit.Code == 1
    ended = (await talk(broken, init()))[1].Exit
    assert ended.Code == 255
    assert str(from_status(ended.Error)) == "no memory"


async def test_sizes_and_signals_reach_the_process() -> None:
    async def watch(stdio: Stdio) -> int:
        assert stdio.resize is not None
        assert stdio.signals is not None
        rows, columns = await anext(stdio.resize)
        stdio.stdout(f"{rows}x{columns}".encode())
        return await anext(stdio.signals)

    size = pb.ExecMessage(ProcessID="p", Resize=pb.ResizeMessage(Rows=3, Cols=9))
    number = pb.ExecMessage(ProcessID="p", Signal=pb.SignalMessage(Name="INT"))
    said = await talk(watch, init(tty=True), size, number)
    assert said[1].File.Data == b"3x9"
    assert said[2].Exit.Code == signal.SIGINT


async def test_what_nobody_takes_does_not_add_up() -> None:
    """A frontend that sends sizes and signals without end keeps no more of them here."""
    begun = init(tty=True).Init
    streams = ProcessStreams("p", begun, ExecMessages())
    ours = pb.ExecMessage(ProcessID="p", Signal=pb.SignalMessage(Name="INT"))
    for number in range(3 * SIGNALS_MOST):
        size = pb.ResizeMessage(Rows=number, Cols=9)
        await streams.take(pb.ExecMessage(ProcessID="p", Resize=size))
        await streams.take(ours)
        await streams.take(file(eof=True))
    stdio = streams.stdio()
    assert stdio.resize is not None
    assert stdio.signals is not None
    assert await anext(stdio.resize) == (3 * SIGNALS_MOST - 1, 9)
    for _ in range(SIGNALS_MOST):
        await anext(stdio.signals)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(stdio.signals)


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([file(b"x")], NotFound),
        ([init(), init()], AlreadyExists),
        ([pb.ExecMessage(Init=pb.InitMessage())], InvalidRequest),
        ([pb.ExecMessage(ProcessID="p", Init=pb.InitMessage(ContainerID="x"))], NotFound),
        ([init(), pb.ExecMessage(ProcessID="p", File=pb.FdMessage(Fd=1))], InvalidRequest),
    ],
)
async def test_nonsense(messages: list[pb.ExecMessage], error: type[CrozeError]) -> None:
    async def wait(stdio: Stdio) -> int:
        await asyncio.get_running_loop().create_future()
        return 0

    with pytest.raises(error):
        await talk(wait, *messages)


def test_names_of_signals() -> None:
    assert signal_number("TERM") == 15
    for name in ("SIGTERM", "term", "15", ""):
        with pytest.raises(CrozeError, match=f"desc = Unknown signal {name}$"):
            signal_number(name)


async def test_what_is_written_after_the_end_is_refused() -> None:
    streams = ProcessStreams("p", init().Init, ExecMessages())
    await streams.take(file(b"all", eof=True))
    await streams.take(file(eof=True))
    with pytest.raises(InvalidRequest, match=r"^fd 0 unavailable to write$"):
        await streams.take(file(b"more"))


def test_clients_are_told_the_code_of_nonsense() -> None:
    """BuildKit makes these errors of a code, and their words say so."""
    with pytest.raises(InvalidRequest) as caught:
        signal_number("zz")
    status = to_status(caught.value, plain=True)
    assert status.code == StatusCode.INVALID_ARGUMENT.value[0]
    assert status.message == "rpc error: code = InvalidArgument desc = Unknown signal zz"


@pytest.mark.parametrize(
    "meta",
    [
        ops_pb2.Meta(hostname="h"),
        ops_pb2.Meta(cgroupParent="c"),
        ops_pb2.Meta(ulimit=[ops_pb2.Ulimit(Name="nofile")]),
        ops_pb2.Meta(extraHosts=[ops_pb2.HostIP(Host="h", IP="127.0.0.1")]),
        ops_pb2.Meta(validExitCodes=[1]),
    ],
)
def test_what_only_a_container_has_is_refused_for_a_process(meta: ops_pb2.Meta) -> None:
    (field, _), *_ = meta.ListFields()
    with pytest.raises(InvalidRequest, match=f"{field.name} can't be set for a process"):
        process_of(pb.InitMessage(ContainerID="c", Meta=meta), (), ops_pb2.Platform(OS="linux"))
