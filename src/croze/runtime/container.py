"""A container that an OCI runtime runs: its first process, those that join it, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from croze.aio.threads import in_thread
from croze.errors import CrozeError
from croze.fs.owner import lookup
from croze.runtime import config_file, oci_spec
from croze.runtime.cgroups import oom_kills
from croze.runtime.complaint import Complaint, last_error
from croze.runtime.contract import ContainerSpec, Process, Stdio
from croze.runtime.errors import OutOfMemory, StartError
from croze.runtime.host import Host
from croze.runtime.mounts import OciBundle, Stubs
from croze.runtime.process import ChildProcess
from croze.runtime.program import RuntimeProgram
from croze.runtime.proxy.trust import Trust

log = logging.getLogger(__name__)

POLL_S = 0.01
KILL_PATIENCE_S = 5.0
_SIGKILL = signal.SIGKILL


class OciContainer:
    """A started container; made by `OciExecutor.start`."""

    def __init__(
        self, program: RuntimeProgram, host: Host, id: str, bundle: OciBundle, spec: ContainerSpec
    ) -> None:
        self.id = id
        self.bundle = bundle
        self.spec = spec
        self.stubs: Stubs | None = None
        self.trust: Trust | None = None
        self.succeeded = False
        """Whether it has ended, and well."""
        self._program = program
        self._host = host
        self._main: ChildProcess | None = None
        self._process = Process(args=())
        self._killed = False
        self._oom_kills = oom_kills()
        self._complaint = Complaint()

    @property
    def root(self) -> Path:
        """See `Container`."""
        return self.bundle.rootfs

    def remove_stubs(self) -> None:
        """Take away what was made in its files for it alone, once it has ended."""
        if self.trust is not None:
            self.trust.remove()
        if self.stubs is not None:
            self.stubs.remove()

    @property
    def _pid_file(self) -> Path:
        return self._program.pids / self.id

    @property
    def _log_file(self) -> Path:
        return self.bundle.path / "log.json"

    def launch(self, process: Process, stdio: Stdio) -> None:
        argv = self._program.command(
            self._log_file,
            "run",
            "--bundle",
            str(self.bundle.path),
            "--pid-file",
            str(self._pid_file),
            self.id,
        )
        self._process = process
        stdio = self._complaint.overhear(stdio)
        self._main = self._program.spawn(argv, process.tty, stdio, self.bundle.path)
        if stdio.signals is not None:
            self._main.accompany(self._pass_on(stdio.signals))

    async def _pass_on(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            await self.kill(number)

    async def wait(self) -> int:
        """See `Container`. Raises `StartError` when the process was never started."""
        assert self._main is not None
        code = await self._main.wait()
        self._complaint.end()
        if code and not self.init_pid():
            raise StartError(last_error(self._log_file))
        if code and self._complaint.text:
            raise StartError(self._complaint.text)
        if code == 128 + signal.SIGKILL and not self._killed and oom_kills() > self._oom_kills:
            # The cgroup that would say it is gone with the container. The machine's own count
            # tells it from a process that was killed otherwise.
            limit = self.spec.resources.memory
            reason = f"memory limit of {limit} bytes reached" if limit else "killed by the kernel"
            raise OutOfMemory(f"out of memory: {reason}")
        return code

    def init_pid(self) -> int:
        """The pid of the container's first process; 0 before it is there."""
        return _read_pid(self._pid_file)

    async def kill(self, signal: int) -> None:
        """Signal the container's first process."""
        if (pid := await self._started()) and self._running:
            with contextlib.suppress(ProcessLookupError):
                self._killed = self._killed or signal == _SIGKILL
                os.kill(pid, signal)

    @property
    def _running(self) -> bool:
        return self._main is not None and self._main.running

    async def _started(self) -> int:
        """Wait until the first process is there; 0 when it never will be."""
        while not (pid := self.init_pid()) and self._running:
            await asyncio.sleep(POLL_S)
        return pid

    async def executed(self) -> int:
        """The pid of the container's first process once it is what was asked for, and no longer
        the runtime that makes it; 0 if it ended before."""
        pid = await self._started()
        while pid and self._running:
            assert self._main is not None
            if not _same_program(pid, self._main.pid):
                return pid
            await asyncio.sleep(POLL_S)
        return 0

    async def stop(self) -> None:
        """Kill all of it, now, and wait for its end."""
        self._killed = True
        if self._main is None:
            return
        deadline = asyncio.get_running_loop().time() + KILL_PATIENCE_S
        while self._main.running:
            if pid := self.init_pid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if asyncio.get_running_loop().time() > deadline:
                log.warning("container %s does not end, killing its runtime", self.id)
                self._main.signal(signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._main.ended(), POLL_S)

    async def close(self) -> None:
        """End it if it still runs and let the runtime forget it."""
        try:
            await self.stop()
        finally:
            if self._main is not None:
                await self._main.close()
                self.succeeded = self._main.succeeded
            if self._program.knows(self.id):
                await self._program.delete(self.id)

    async def exec(
        self, process: Process, stdio: Stdio, *, on_start: Callable[[int], None] | None = None
    ) -> int:
        """See `Container`."""
        if not await self._started():
            raise CrozeError(f"container {self.id} has stopped")
        name = f"exec-{secrets.token_hex(6)}"
        files = {kind: self.bundle.path / f"{name}.{kind}" for kind in ("json", "pid", "log")}
        user = await in_thread(lookup, str(self.bundle.rootfs), process.user)
        spec = oci_spec.process_json(process, user, self.spec, self._host)
        config_file.write(files["json"], {"process": spec}, "process")
        argv = self._program.command(
            files["log"],
            "exec",
            "--process",
            str(files["json"]),
            "--pid-file",
            str(files["pid"]),
            self.id,
        )
        try:
            return await self._run_exec(argv, stdio, process.tty, files, on_start)
        finally:
            for file in files.values():
                file.unlink(missing_ok=True)

    async def _run_exec(
        self,
        argv: Sequence[str],
        stdio: Stdio,
        tty: bool,
        files: Mapping[str, Path],
        on_start: Callable[[int], None] | None,
    ) -> int:
        child = self._program.spawn(argv, tty, stdio, self.bundle.path)
        if stdio.signals is not None:
            child.accompany(_signal_all(stdio.signals, child, files["pid"]))
        if on_start is not None:
            child.accompany(_tell_pid(on_start, child, files["pid"]))
        try:
            code = await child.wait()
        finally:
            if child.running:
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int(files["pid"].read_text("ascii")), signal.SIGKILL)
            await child.close()
        if code and not files["pid"].exists():
            raise StartError(last_error(files["log"]))
        return code


async def _signal_all(signals: AsyncIterator[int], child: ChildProcess, pid_file: Path) -> None:
    """Pass signals on to the process that `child` runs in a container."""
    async for number in signals:
        pid = await _pid_in(child, pid_file)
        if child.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


async def _tell_pid(tell: Callable[[int], None], child: ChildProcess, pid_file: Path) -> None:
    if pid := await _pid_in(child, pid_file):
        tell(pid)


async def _pid_in(child: ChildProcess, pid_file: Path) -> int:
    """Wait until the process is there that `child` runs; 0 when it never will be."""
    while not (pid := _read_pid(pid_file)) and child.running:
        await asyncio.sleep(POLL_S)
    return pid


def _same_program(one: int, other: int) -> bool:
    """Whether two processes run the same file; what has gone runs none."""
    try:
        return os.path.samestat(os.stat(f"/proc/{one}/exe"), os.stat(f"/proc/{other}/exe"))
    except OSError:
        return False


def _read_pid(path: Path) -> int:
    """The pid in a runtime's pid file; 0 before it is there."""
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return 0
