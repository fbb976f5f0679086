"""A shell in a build that has stopped, on a terminal that the editor opens: `dap attach` in it
connects to a socket here, and stays connected from stop to stop.

Source: buildx `dap/debug_shell.go`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import sys
from pathlib import Path

from croze.api import ops_pb2
from croze.debug.containers import DebugContainer, DebugProcess, open_container
from croze.debug.failure import BuildOutcome
from croze.debug.invocation import Invocation
from croze.errors import CrozeError, InvalidRequest, os_reason
from croze.fs.temporary import HeldDirectory
from croze.rpc.held import HeldBuild

SHELL = "/bin/sh"
LINKS = 40
"""How many links are followed to a program."""
CHUNK_BYTES = 32 << 10

_DIRECTORY, _SYMLINK, _TYPES = 1 << 31, 1 << 27, 0x8F280000


class _Terminal:
    """Somebody who is connected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.process: DebugProcess | None = None
        self.gone = False

    def say(self, text: str) -> None:
        self.show(f"{text}\n".encode())

    def show(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    async def pass_on(self, _fd: int, data: bytes) -> None:
        """Show what a process has written, as soon as the terminal has room for it."""
        self.show(data)
        with contextlib.suppress(OSError):  # the terminal has gone
            await self._writer.drain()

    async def serve(self) -> None:
        """What is typed goes to the process that there is."""
        with contextlib.suppress(OSError):
            while data := await self._reader.read(CHUNK_BYTES):
                if (process := self.process) is not None:
                    process.write(data)
                    await process.room()
        self.gone = True
        if self.process is not None:
            self.process.end_input()

    def close(self) -> None:
        self._writer.close()


class TerminalShell:
    """One terminal at a time, and one process in it."""

    def __init__(self) -> None:
        self._folder: HeldDirectory | None = None
        self._server: asyncio.Server | None = None
        self._terminal: _Terminal | None = None
        self._connected = asyncio.Event()
        self._turn = asyncio.Lock()

    async def listen(self) -> str:
        """Begin to wait for a terminal; the path at which it may connect."""
        if self._server is None:
            self._folder = HeldDirectory("dap-exec")
            # In a directory of the user's own, for one terminal.
            serve = asyncio.start_unix_server(self._accept, self._path)  # noqa: TID251
            self._server = await serve
        return self._path

    @property
    def _path(self) -> str:
        assert self._folder is not None
        return os.path.join(self._folder.path, "s.sock")

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        terminal = _Terminal(reader, writer)
        if self._terminal is not None and not self._terminal.gone:
            terminal.say("Error: Already connected to exec instance.")
            terminal.close()
            return
        self._terminal = terminal
        terminal.say("Attached to build process.")
        self._connected.set()
        await terminal.serve()
        if terminal.process is None:
            self._forget(terminal)

    def _forget(self, terminal: _Terminal) -> None:
        terminal.close()
        if self._terminal is terminal:
            self._terminal = None
            self._connected.clear()

    async def serve(self, bridge: HeldBuild, outcome: BuildOutcome, line: int) -> None:
        """Run shells in what the build came to, until cancelled, or until something has gone wrong
        in the container."""
        while True:
            await self._connected.wait()
            async with self._turn:
                terminal = self._terminal
                if terminal is None:
                    continue
                if not await self._run(terminal, bridge, outcome, line):
                    return
                self._forget(terminal)

    async def _run(
        self, terminal: _Terminal, bridge: HeldBuild, outcome: BuildOutcome, line: int
    ) -> bool:
        """A shell to its end; whether it has ended well."""
        invocation = Invocation(entrypoint=[SHELL], cmd=[], no_cmd=False)
        try:
            container = await open_container(bridge, outcome, invocation)
        except CrozeError:
            return False
        try:
            try:
                await runnable(container, outcome, SHELL)
            except CrozeError as error:
                terminal.say(f"Build container is not executable. (reason: {error})")
                return False
            terminal.say(f"Running {SHELL} in build container from line {line}.")
            terminal.say("Changes to the container will be reset after the next step is executed.")
            process = terminal.process = DebugProcess(terminal.pass_on)
            await container.run(invocation, process)
        except CrozeError:
            return False
        finally:
            if terminal.process is not None:
                terminal.process.close()
                terminal.process = None
                terminal.say("")
            await container.release()
        return True

    async def close(self) -> None:
        if self._terminal is not None:
            self._forget(self._terminal)
        if self._server is not None:
            self._server.close()
        if self._folder is not None:
            self._folder.close()


async def runnable(container: DebugContainer, outcome: BuildOutcome, program: str) -> None:
    """See that a program can be run in a container. Raises `CrozeError`."""
    mounts = outcome.mounts(Invocation())
    path = program
    for _ in range(LINKS):
        index, below = _mount_of(mounts, path)
        try:
            stat = await container.stat(below, index)
        except CrozeError as error:
            raise error.wrap(f"stat error: {path}") from None
        if stat.mode & _SYMLINK:
            link = stat.linkname.decode(errors="surrogateescape")
            path = posixpath.join(posixpath.dirname(path), link)
            continue
        if stat.mode & _TYPES:
            raise InvalidRequest(f"{path}: not a file")
        if not stat.mode & 0o111:
            raise InvalidRequest(f"{path}: not an executable")
        return
    raise InvalidRequest(f"{path}: reached symlink resolution limit")


def _mount_of(mounts: list[ops_pb2.Mount], path: str) -> tuple[int, str]:
    """The mount that a path is in, and the path in it."""
    fitting = [i for i, mount in enumerate(mounts) if path.startswith(mount.dest)]
    if not fitting:
        raise InvalidRequest("file does not exist")
    index = max(fitting, key=lambda i: len(mounts[i].dest))
    return index, posixpath.join("/", path.removeprefix(mounts[index].dest))


def attach_words(path: str) -> list[str]:
    """The command line that an editor is to run in a terminal."""
    docker = os.environ.get("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", "")
    own = [docker, Path(sys.argv[0]).name.removeprefix("docker-")] if docker else [sys.argv[0]]
    return [*own, "dap", "attach", path]


async def attach(path: str) -> None:
    """Be the terminal's side: what `dap attach` does."""
    from croze.debug import terminal
    from croze.debug.terminal import Keyboard

    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        reason = os_reason(error)
        raise InvalidRequest(f"dial unix {path}: connect: {reason}") from None
    keyboard = Keyboard()

    async def typed() -> None:
        while data := await keyboard.read():
            writer.write(data)
            with contextlib.suppress(OSError):  # it has ended: what it has said is still shown
                await writer.drain()
        writer.write_eof()

    with terminal.raw():
        async with asyncio.TaskGroup() as group:
            typing = group.create_task(typed())
            while data := await reader.read(CHUNK_BYTES):
                terminal.show(data)
            typing.cancel()
