"""One container: what it is, and how it runs."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from croze.engineapi.containers import spec as specs
from croze.engineapi.containers.execs import OneExec, why_not
from croze.engineapi.containers.output import ContainerOutput
from croze.engineapi.containers.process_input import ProcessInput
from croze.engineapi.containers.spec import Create
from croze.errors import AlreadyExists, CrozeError
from croze.files.atomic import write_atomically
from croze.fs.owner import NoSuchOwner
from croze.image.config import RunConfig
from croze.runtime.contract import Container as Running
from croze.runtime.contract import ContainerSpec, Executor, Stdio
from croze.runtime.errors import OutOfMemory, StartError
from croze.runtime.reach import Reaching
from croze.store.disk import disk_errors

KILLED = 128 + signal.SIGKILL
EXECS_KEPT = 64
COPY_PATIENCE_S = 2.0
"""How long a container that has ended stays for those that copy its files."""


class StoredState(msgspec.Struct):
    """A container's state as it is on disk. `status` is `created`, `running` or `exited`; times in
    nanoseconds since 1970."""

    id: str
    name: str
    created_ns: int
    spec: Create
    image_id: str
    image_name: str
    """The full name that it was made by, as the store has it."""
    config: RunConfig
    status: str = "created"
    exit_code: int = 0
    error: str = ""
    oom: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    layer: str = ""
    """The record of what it has written, once it has run."""


class OneContainer:
    """A container and its runs, of which there is one at a time."""

    def __init__(self, state: StoredState, folder: Path) -> None:
        self.state = state
        self.folder = folder
        self.output = ContainerOutput(folder / "log")
        self.pid = 0
        self.ended = asyncio.Event()
        self.lacks_user = False
        """Whether it could not be run as who it was to be."""
        self.next_end = asyncio.Event()
        """Set, and replaced, when it ends."""
        self.removed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.input = ProcessInput()
        self._up: asyncio.Future[None] | None = None
        self._early: list[bytes] = []
        self._restarting = 0
        self.execs: dict[str, OneExec] = {}
        self.at_rest = asyncio.Lock()
        """Held by who reads or changes what it is while it doesn't run."""
        self._copies: dict[Reaching, asyncio.Event] = {}
        self._running: Running | None = None
        if not self.running and state.status != "created":
            self.ended.set()

    @property
    def id(self) -> str:
        return self.state.id

    @property
    def spec(self) -> Create:
        return self.state.spec

    @property
    def user(self) -> str:
        return self.spec.user or self.state.config.user

    @property
    def hostname(self) -> str:
        """On the host's network it is the host's, as in a Docker engine."""
        on_host = self.spec.host_config.network_mode == "host"
        return self.spec.hostname or (socket.gethostname() if on_host else self.id[:12])

    @property
    def created_ns(self) -> int:
        return self.state.created_ns

    @property
    def removes_itself(self) -> bool:
        """Whether the container is removed when it ends."""
        return self.spec.host_config.auto_remove and not self._restarting

    @contextmanager
    def restarting(self) -> Iterator[None]:
        """Let the container end without removing itself while inside: it is started again."""
        self._restarting += 1
        try:
            yield
        finally:
            self._restarting -= 1

    @property
    def running(self) -> bool:
        return self.state.status == "running"

    @property
    def process(self) -> Running:
        """The container as it runs. Raises `AlreadyExists` if it does not, in Docker's words, which
        make it a conflict."""
        if self._running is None or not self.running:
            raise AlreadyExists(f"container {self.id} is not running")
        return self._running

    def save(self) -> None:
        """Write the state to disk: whatever happens afterwards, this is known. Raises
        `ResourceExhausted` on a full disk."""
        with disk_errors("failed to write the container's state"):
            write_atomically(self.folder / "state.json", msgspec.json.encode(self.state), 0o600)

    # -- running --

    def begin(self) -> asyncio.Future[None]:
        """Note that the container is about to run; a future that tells when its process is there,
        or why it never will be. Raises `ResourceExhausted` if that can't be written down; then
        nothing has changed."""
        before = msgspec.structs.replace(self.state)
        self.state.status = "running"
        self.state.started_ns = time.time_ns()
        self.state.exit_code, self.state.error, self.state.oom = 0, "", False
        self.lacks_user = False
        try:
            self.save()
            self.output.open()
        except BaseException:
            self.state = before
            raise
        self.ended.clear()
        self._up = asyncio.get_running_loop().create_future()
        return self._up

    async def run(self, spec: ContainerSpec, executor: Executor) -> None:
        """Run the container to its end."""
        process = specs.process_of(self.spec, self.state.config, self.hostname)
        stdio = Stdio(
            stdout=self.output.stdout,
            stderr=self._complain,
            stdin=self.input.typed() if self.spec.open_stdin else None,
            resize=self.input.sizes() if self.spec.tty else None,
            backlog=self.output.backlog,
        )
        try:
            async with executor.start(spec, process, stdio, id=self.id[:24]) as running:
                self._running = running
                self.pid = await running.executed()
                if self.pid:
                    self._is_up()
                self.state.exit_code = await running.wait()
                self._is_up()
                await self.end_copies()
        except StartError as error:
            self._early.clear()
            self.state.error, self.state.exit_code = why_not(str(error), process.args[0])
        except OutOfMemory as error:
            self.state.exit_code, self.state.oom, self.state.error = KILLED, True, str(error)
        except CrozeError as error:
            self.state.exit_code, self.state.error = 128, str(error)
            self.lacks_user = isinstance(error, NoSuchOwner)
        except BaseException:
            self.state.exit_code = KILLED
            raise
        finally:
            self._running = None

    @contextmanager
    def copying(self, copy: Reaching) -> Iterator[None]:
        """Read or write the container's files while inside; when it ends, that has little time
        left."""
        ended = self._copies[copy] = asyncio.Event()
        try:
            yield
        finally:
            del self._copies[copy]
            ended.set()

    async def end_copies(self) -> None:
        """Let reads and writes of the container's files come to their end, and cut off those that
        take long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(COPY_PATIENCE_S):
                for ended in list(self._copies.values()):
                    await ended.wait()
        for copy in list(self._copies):
            await copy.close()

    def _complain(self, data: bytes) -> None:
        """Standard error is the runtime's until the process is there."""
        if self._up is not None and not self._up.done():
            self._early.append(data)
        else:
            self.output.stderr(data)

    def _is_up(self) -> None:
        if self._up is not None and not self._up.done():
            self._up.set_result(None)
        for data in self._early:
            self.output.stderr(data)
        self._early.clear()

    def finish(self) -> None:
        """Note that the container has ended, and tell whoever waits."""
        self.state.status = "exited"
        self.state.finished_ns = time.time_ns()
        self.pid, self._running = 0, None
        with suppress(OSError, CrozeError):
            self.save()
        if self._up is not None and not self._up.done():
            self._up.set_result(None)
        self.output.end()
        self.ended.set()
        end, self.next_end = self.next_end, asyncio.Event()
        end.set()
        self.input.forget()

    async def kill(self, number: int) -> None:
        if self._running is not None:
            await self._running.kill(number)

    def keep(self, one: OneExec) -> None:
        """Remember one more process of the container. Of those that don't run only the last are
        remembered."""
        self.execs[one.id] = one
        idle = [each.id for each in self.execs.values() if not each.running]
        for id in idle[:-EXECS_KEPT]:
            del self.execs[id]
