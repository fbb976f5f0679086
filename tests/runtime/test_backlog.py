"""A process that talks faster than anyone listens waits, and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

from croze.aio.backlog import Backlog
from croze.runtime.contract import ContainerSpec, Stdio
from croze.runtime.oci import OciExecutor
from croze.runtime.process import ChildProcess
from croze.runtime.streams import LEFT_BYTES, DescriptorReader
from tests.runtime.conftest import shell
from tests.support.waiting import PATIENCE_S

MakeSpec = Callable[..., ContainerSpec]


class SlowListener:
    """Takes all, and hears it when it is told to."""

    def __init__(self, limit_bytes: int) -> None:
        self.backlog = Backlog(limit_bytes)
        self.waiting: list[bytes] = []
        self.heard = 0
        self.most = 0

    def say(self, data: bytes) -> None:
        self.backlog.grew(len(data))
        self.waiting.append(data)
        self.most = max(self.most, sum(map(len, self.waiting)))

    def hear(self) -> None:
        while self.waiting:
            data = self.waiting.pop(0)
            self.heard += len(data)
            self.backlog.shrank(len(data))

    async def listen(self, turns: int = 200) -> None:
        """Now and then, for ever."""
        while True:
            for _ in range(turns):
                await asyncio.sleep(0)
            self.hear()


async def test_a_chatty_process_waits_and_all_is_heard(
    executor: OciExecutor, spec: MakeSpec
) -> None:
    for tty in (False, True):
        slow = SlowListener(256 << 10)
        stdio = Stdio(slow.say, slow.say, backlog=slow.backlog)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(slow.listen())
            script = "head -c 8000000 /dev/zero | tr '\\0' x; echo >&2 end"
            assert await executor.run(spec(), shell(script, tty=tty), stdio) == 0
            listening.cancel()
        slow.hear()
        assert slow.heard == 8_000_000 + len(b"end\n") + tty, tty
        assert slow.most < 2 << 20, tty


async def test_what_goes_on_writing_after_the_end_is_left() -> None:
    heard = bytearray()
    argv = ["/bin/sh", "-c", "yes & echo $!"]
    child = ChildProcess.spawn(argv, Stdio(heard.extend, heard.extend), tty=False)
    async with asyncio.timeout(PATIENCE_S):
        assert await child.wait() == 0
        await child.close()
    with contextlib.suppress(ProcessLookupError):  # it ends by itself, as nobody reads
        os.kill(int(bytes(heard).replace(b"y\n", b"")), 9)
    assert len(heard) < 4 * LEFT_BYTES


async def test_input_that_nobody_reads_any_more_is_thrown_away() -> None:
    pieces = 0
    all_given = asyncio.Event()

    async def much() -> AsyncIterator[bytes]:
        nonlocal pieces
        for _ in range(64):
            yield b"x" * (64 << 10)
            pieces += 1
        all_given.set()

    said = bytearray()
    argv = ["/bin/sh", "-c", "exec <&-; exec sleep 100"]
    child = ChildProcess.spawn(argv, Stdio(said.extend, said.extend, much()), tty=False)
    async with asyncio.timeout(PATIENCE_S):
        await all_given.wait()
        await child.close()
    assert pieces == 64
    assert not said


async def test_a_reader_that_is_closed_while_it_waits() -> None:
    read, write = os.pipe()
    slow = SlowListener(10)
    reader = DescriptorReader(read, slow.say, slow.backlog)
    os.write(write, b"x" * 20)
    for _ in range(5):
        await asyncio.sleep(0)
    os.write(write, b"y" * 20)
    for _ in range(5):
        await asyncio.sleep(0)
    assert slow.waiting == [b"x" * 20]
    reader.drain()
    assert slow.waiting == [b"x" * 20, b"y" * 20]
    slow.hear()
    os.close(write)
    assert slow.heard == 40


async def test_room_is_given_one_by_one() -> None:
    backlog, calls = Backlog(10), list[int]()

    def take(number: int) -> Callable[[], None]:
        def taken() -> None:
            calls.append(number)
            backlog.grew(10)

        return taken

    backlog.grew(10)
    for number in range(3):
        backlog.call_on_room(take(number))
    assert calls == []
    backlog.shrank(10)
    assert calls == [0]
    backlog.lift()
    assert calls == [0, 1, 2]
    await backlog.room()
