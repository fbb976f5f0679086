"""One more process in a container that runs (`exec`): what is asked for, and how it goes.

Source: Docker Engine API, "Exec".
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from croze.aio.backlog import Backlog
from croze.engineapi.containers.output import STDERR, STDOUT, Listener, entry_of
from croze.engineapi.containers.process_input import ProcessInput
from croze.engineapi.jsontext import read_struct
from croze.errors import AlreadyExists, CrozeError, InvalidRequest, Unsupported, as_own
from croze.runtime.contract import Container as Running
from croze.runtime.contract import Process, Stdio
from croze.runtime.errors import StartError

_FAILED = "OCI runtime exec failed: exec failed"


class ExecCreate(msgspec.Struct, rename="pascal"):
    """The body of `POST /containers/NAME/exec`; `console_size` is (rows, columns)."""

    cmd: list[str] = []
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    tty: bool = False
    env: list[str] = []
    privileged: bool = False
    user: str = ""
    working_dir: str = ""
    console_size: tuple[int, int] | None = None


class ExecStart(msgspec.Struct, rename="pascal"):
    """The body of `POST /exec/ID/start`."""

    detach: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None


def read_create(data: bytes) -> ExecCreate:
    """The process that a request's body asks for. Raises `InvalidRequest`, and `Unsupported` by
    name."""
    spec = read_struct(data, ExecCreate)
    if not spec.cmd:
        raise InvalidRequest("No exec command specified")
    if spec.privileged:
        raise Unsupported("Privileged of an exec is not served here")
    return spec


class OneExec:
    """One more process of a container, which runs at most once. `exit_code` is None before its end,
    `pid` 0 while it is not there."""

    def __init__(self, spec: ExecCreate) -> None:
        self.id = secrets.token_hex(32)
        self.asked = spec
        self.running = False
        self.exit_code: int | None = None
        self.pid = 0
        self._early: list[bytes] = []
        self._up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._backlog = Backlog()
        self._listener: Listener | None = None
        self.input = ProcessInput()

    @property
    def streams(self) -> Sequence[int]:
        outputs = ((self.asked.attach_stdout, STDOUT), (self.asked.attach_stderr, STDERR))
        return [number for attached, number in outputs if attached]

    def begin(self) -> None:
        """Note that the process is about to run. Raises `AlreadyExists` if it did, or does."""
        if self.exit_code is not None:
            raise AlreadyExists(f"exec command {self.id} has already run")
        if self.running:
            raise AlreadyExists(f"exec command {self.id} is already running")
        self.running = True

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener to what the process says from now on; what nobody listens to is lost."""
        listener = self._listener = Listener(self._backlog, self.streams)
        try:
            yield listener
        finally:
            self._listener = None
            listener.close()
            self._backlog.lift()

    async def run(self, container: Running, process: Process) -> None:
        """Run the process to its end, once it has begun. What it fails with is told to who listens,
        or waits."""
        stdio = Stdio(
            stdout=lambda data: self._said(STDOUT, data),
            stderr=self._complain,
            stdin=self.input.typed() if self.asked.attach_stdin else None,
            resize=self.input.sizes() if process.tty else None,
            backlog=self._backlog,
        )
        failed = ""
        try:
            if not process.cwd.startswith("/"):
                raise CrozeError(f"{_FAILED}: Cwd must be an absolute path: unknown")
            self.exit_code = await container.exec(process, stdio, on_start=self._started)
        except StartError as error:
            self._early.clear()
            reason, self.exit_code = why_not(str(error), process.args[0])
            failed = f"{_FAILED}: {reason}: unknown"
        except (CrozeError, OSError) as error:  # the container may have ended meanwhile
            failed, self.exit_code = str(as_own(error)), 126
        except Exception as error:
            failed, self.exit_code = f"internal error: {error}", 126
            raise
        finally:
            self._ended(failed)

    def _complain(self, data: bytes) -> None:
        """Standard error is the runtime's until the process is there."""
        if self.pid:
            self._said(STDERR, data)
        else:
            self._early.append(data)

    def _tell_early(self) -> None:
        for data in self._early:
            self._said(STDERR, data)
        self._early.clear()

    def _started(self, pid: int) -> None:
        self.pid = pid
        self._tell_early()
        if not self._up.done():
            self._up.set_result("")

    def _ended(self, failed: str) -> None:
        self._tell_early()
        self.running, self.pid = False, 0
        self.exit_code = 137 if self.exit_code is None else self.exit_code
        if failed:
            self._said(STDOUT, f"{failed}\r\n".encode())
        if not self._up.done():
            self._up.set_result(failed)
        if self._listener is not None:
            self._listener.put(None)

    async def up(self) -> str:
        """Wait until the process is there, or has ended: why there was none, empty if there was."""
        return await asyncio.shield(self._up)

    def _said(self, stream: int, data: bytes) -> None:
        if self._listener is not None:
            self._listener.put(entry_of(stream, data))


_CHDIR = re.compile(
    r"""chdir(?: to cwd)? [(`"]+(?P<where>.*?)[)`"]+(?: set in config\.json failed)?: (?P<why>.+)"""
)
"""crun's complaint of a working directory, and runc's."""


def why_not(complaint: str, program: str) -> tuple[str, int]:
    """Why a program could not be started, in words that clients make their exit code of, and that
    code."""
    if match := _CHDIR.search(complaint):
        where, why = match["where"], match["why"].lower()
        failed = f'chdir to cwd ("{where}") set in config.json failed: {why}'
        return f"unable to start container process: {failed}", 126
    low, code = complaint.lower().replace("operation not permitted", "permission denied"), 126
    low = low.rpartition(f'exec: "{program}": '.lower())[2].removeprefix("open executable: ")
    if "not found" in low or "no such file or directory" in low:
        path = "/" in program
        missing = f"stat {program}: no such file or directory"
        low, code = missing if path else "executable file not found in $PATH", 127
    return f'unable to start container process: exec: "{program}": {low}', code
