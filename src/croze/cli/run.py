"""`croze run`: an image of the local store, in a container, on this terminal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags, UsageError

if TYPE_CHECKING:
    from croze.api import engine_pb2
    from croze.cli.main import Common
    from croze.client.connect import Client

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
CHUNK_BYTES = 32 << 10


def flags() -> Flags:
    """docker run's flags, as far as a build tool needs them."""
    made = Flags(
        "croze run",
        "Run an image of the local store in a container",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    )
    made.texts("-e", "--env", help="Set environment variables")
    made.text("--entrypoint", help="Overwrite the ENTRYPOINT of the image")
    made.text("--hostname", help="Container host name")
    made.switch("-i", "--interactive", help="Keep standard input open")
    made.text("--network", help="default, host or none")
    made.text("--platform", help="Choose the platform of a multi-platform image")
    made.switch("--rm", help="Accepted: containers are always removed")
    made.switch("-t", "--tty", help="Allocate a terminal")
    made.text("-u", "--user", help="Name or id, optionally with group: user:group")
    made.text("-w", "--workdir", help="Working directory inside the container")
    return made


def run(argv: Sequence[str], common: Common) -> int:
    """The exit code is the container's."""
    options, image, command = split(flags(), argv)
    read = flags().read(options)
    if not image:
        raise UsageError("'croze run' requires at least 1 argument", "croze run")
    start = start_message(read, image, command)

    async def ask(client: Client) -> int:
        return await attach(client, start)

    with raw_terminal(read.tty):
        return with_client(common, ask)


def split(known: Flags, argv: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Options, image, command: what follows the image belongs to the container."""
    with_value = known.names_with_value()
    words = list(argv)
    options: list[str] = []
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            break
        if len(word) > 2 and word[0] == "-" and word[1] != "-" and f"-{word[1]}" not in with_value:
            options += [f"-{letter}" for letter in word[1:]]
            continue
        options.append(word)
        if word in with_value and words:
            options.append(words.pop(0))
    return options, words[0] if words else "", words[1:]


def start_message(
    read: argparse.Namespace, image: str, command: Sequence[str]
) -> engine_pb2.RunStart:
    """The first message of the call."""
    from croze.api import engine_pb2

    return engine_pb2.RunStart(
        image=image,
        command=command,
        entrypoint=[read.entrypoint] if read.entrypoint else [],
        env=[e if "=" in e else f"{e}={os.environ.get(e, '')}" for e in read.env],
        user=read.user,
        workdir=read.workdir,
        network=read.network,
        hostname=read.hostname,
        platform=read.platform,
        tty=read.tty,
        interactive=read.interactive,
    )


async def attach(client: Client, start: engine_pb2.RunStart) -> int:
    """Carry the streams and signals until the container ends."""
    from croze.api import engine_pb2
    from croze.client.engine import EngineClient

    outgoing: asyncio.Queue[engine_pb2.RunRequest] = asyncio.Queue(maxsize=16)
    outgoing.put_nowait(engine_pb2.RunRequest(start=start))
    with forwarding_signals(outgoing), reading_stdin(outgoing, start.interactive):
        async for response in EngineClient(client.channel).run(drain(outgoing)):
            match response.WhichOneof("message"):
                case "stdout":
                    write_all(1, response.stdout)
                case "stderr":
                    write_all(2, response.stderr)
                case "exit_code":
                    return response.exit_code
    return 1


async def drain(
    outgoing: asyncio.Queue[engine_pb2.RunRequest],
) -> AsyncIterator[engine_pb2.RunRequest]:
    """The call's requests; the daemon ends the call."""
    while True:
        yield await outgoing.get()


def write_all(fd: int, data: bytes) -> None:
    """Unbuffered, so that what the container prints appears at once and in order."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextlib.contextmanager
def forwarding_signals(outgoing: asyncio.Queue[engine_pb2.RunRequest]) -> Iterator[None]:
    """Signals and window sizes go to the container."""
    from croze.api import engine_pb2

    loop = asyncio.get_running_loop()

    def send(request: engine_pb2.RunRequest) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            outgoing.put_nowait(request)

    def resize() -> None:
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(1)
            size = engine_pb2.WindowSize(rows=rows, columns=columns)
            send(engine_pb2.RunRequest(resize=size))

    for number in FORWARDED:
        loop.add_signal_handler(number, send, engine_pb2.RunRequest(signal=number))
    loop.add_signal_handler(signal.SIGWINCH, resize)
    resize()
    try:
        yield
    finally:
        for number in (*FORWARDED, signal.SIGWINCH):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def reading_stdin(
    outgoing: asyncio.Queue[engine_pb2.RunRequest], interactive: bool
) -> Iterator[None]:
    """Standard input goes to the container as it comes; its end is an empty message."""
    from croze.api import engine_pb2

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

    import threading

    # A daemon thread: a blocked read of a terminal must not keep the command from ending.
    threading.Thread(target=read, name="stdin", daemon=True).start()
    yield


@contextlib.contextmanager
def raw_terminal(wanted: bool) -> Iterator[None]:
    """Keys go through as they are while the container has the terminal."""
    if not (wanted and sys.stdin.isatty()):
        yield
        return
    import termios
    import tty

    saved = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)
