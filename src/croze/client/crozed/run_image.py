"""Run an image of the daemon's store, with this process's streams and signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.aio.interrupts import ENOUGH, TOGETHER_S
from croze.api import engine_pb2
from croze.client.crozed.calls import CrozedClient
from croze.fs.filecopy import write_all

if TYPE_CHECKING:
    from croze.client.connect import Client

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
CHUNK_BYTES = 32 << 10

Outgoing = asyncio.Queue[engine_pb2.RunRequest]


class RunOptions(Struct, frozen=True):
    """What to run, and with what instead of the image's own settings."""

    image: str
    command: Sequence[str] = ()
    entrypoint: Sequence[str] = ()
    env: Sequence[str] = ()
    """`NAME=value`, or `NAME` for this process's value."""
    user: str = ""
    workdir: str = ""
    network: str = ""
    hostname: str = ""
    platform: str = ""
    tty: bool = False
    interactive: bool = False


def start_message(options: RunOptions) -> engine_pb2.RunStart:
    """The first message of the call."""
    return engine_pb2.RunStart(
        image=options.image,
        command=options.command,
        entrypoint=options.entrypoint,
        env=[e if "=" in e else f"{e}={os.environ.get(e, '')}" for e in options.env],
        user=options.user,
        workdir=options.workdir,
        network=options.network,
        hostname=options.hostname,
        platform=options.platform,
        tty=options.tty,
        interactive=options.interactive,
    )


async def run_image(client: Client, options: RunOptions) -> int:
    """Carry the streams and signals until the container ends; its exit code. Raises
    `KeyboardInterrupt` for who has asked often enough: the daemon kills the container then."""
    outgoing: Outgoing = asyncio.Queue(maxsize=16)
    outgoing.put_nowait(engine_pb2.RunRequest(start=start_message(options)))
    code = 1
    with (
        leaving_at_last() as patience,
        forwarding_signals(outgoing, patience),
        reading_stdin(outgoing, options.interactive),
    ):
        async for response in CrozedClient(client.channel).run(drain(outgoing)):
            match response.WhichOneof("message"):
                case "stdout":
                    write_all(1, response.stdout)
                case "stderr":
                    write_all(2, response.stderr)
                case "exit_code":
                    # The call itself ends once the container's layer is gone.
                    code = response.exit_code
    return code


async def drain(outgoing: Outgoing) -> AsyncIterator[engine_pb2.RunRequest]:
    """The call's requests; the daemon ends the call."""
    while True:
        yield await outgoing.get()


class InterruptPatience:
    """How long one waits for a container to heed interrupts, of which its first process may well
    take no notice: until the third, a second after the second."""

    def __init__(self, leave: Callable[[], object]) -> None:
        self._leave = leave
        self._wishes = 0
        self._last_s = -TOGETHER_S

    @property
    def is_over(self) -> bool:
        return self._wishes >= ENOUGH

    def count(self, now_s: float) -> None:
        """Count an interrupt; of those that come together, one."""
        if now_s - self._last_s >= TOGETHER_S:
            self._last_s = now_s
            self._wishes += 1
            if self.is_over:
                self._leave()


@contextlib.contextmanager
def leaving_at_last() -> Iterator[InterruptPatience]:
    """End the task that is inside when patience ends. Raises `KeyboardInterrupt` then."""
    task = asyncio.current_task()
    assert task is not None
    patience = InterruptPatience(task.cancel)
    try:
        yield patience
    except asyncio.CancelledError:
        if patience.is_over:
            raise KeyboardInterrupt from None
        raise


@contextlib.contextmanager
def forwarding_signals(outgoing: Outgoing, patience: InterruptPatience) -> Iterator[None]:
    """Signals and window sizes go to the container."""
    loop = asyncio.get_running_loop()

    def send(request: engine_pb2.RunRequest) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            outgoing.put_nowait(request)

    def resize() -> None:
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(1)
            size = engine_pb2.WindowSize(rows=rows, columns=columns)
            send(engine_pb2.RunRequest(resize=size))

    def forward(number: int) -> None:
        send(engine_pb2.RunRequest(signal=number))
        if number == signal.SIGINT:
            patience.count(loop.time())

    for number in FORWARDED:
        loop.add_signal_handler(number, forward, number)
    loop.add_signal_handler(signal.SIGWINCH, resize)
    resize()
    try:
        yield
    finally:
        for number in (*FORWARDED, signal.SIGWINCH):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def reading_stdin(outgoing: Outgoing, interactive: bool) -> Iterator[None]:
    """Standard input goes to the container as it comes; its end is an empty message."""
    if not interactive:
        yield
        return
    loop = asyncio.get_running_loop()

    def forward(data: bytes) -> None:
        request = engine_pb2.RunRequest(stdin=data)
        asyncio.run_coroutine_threadsafe(outgoing.put(request), loop).result()

    def read() -> None:
        with contextlib.suppress(OSError, RuntimeError, asyncio.CancelledError):
            while data := os.read(0, CHUNK_BYTES):
                forward(data)
            forward(b"")

    # A daemon thread: a blocked read of a terminal must not keep the command from ending.
    threading.Thread(target=read, name="stdin", daemon=True).start()
    yield
