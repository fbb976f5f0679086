"""The executor on an OCI runtime: crun, or runc where there is no crun.

One process is started for a container, the runtime itself in the foreground; its log goes to a file
of its own, so that a step's output has nothing but the step's output. The container's first process
is known by the pid file, and killing that kills all of it.

State, while a container is there: `STATE/pid/ID`, on disk, by which it is found and killed when the
daemon is gone; `STATE/bundle/ID`, and `STATE/run`, which is the runtime's own, in memory if the
daemon's mounts are its own: what they hold (secrets in a step's environment) reaches no disk.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from croze.aio.threads import finish, in_thread, start_in_thread
from croze.errors import CrozeError, InvalidRequest, ResourceExhausted
from croze.fs.owner import lookup
from croze.fs.remove import try_remove_tree
from croze.runtime import config_file, oci_spec, restrict, seccomp, sweep
from croze.runtime import host as host_facts
from croze.runtime.binary import SealedCopy, find_runtime
from croze.runtime.cgroup_parent import CgroupParent
from croze.runtime.cgroups import oom_kills, stir
from croze.runtime.complaint import Complaint
from croze.runtime.contract import ContainerSpec, NetworkMode, Process, Stdio
from croze.runtime.errors import StartError
from croze.runtime.etc_files import EtcFiles
from croze.runtime.mounts import Bundle, Stubs, mount_tmpfs
from croze.runtime.network import (
    DnsConfig,
    NetworkProvider,
    default_networks,
)
from croze.runtime.oci_spec import Namespace, Placement
from croze.runtime.process import ChildProcess
from croze.runtime.terminal import ConsoleSocket
from croze.runtime.workdir import make_workdir

log = logging.getLogger(__name__)

POLL_S = 0.01
KILL_PATIENCE_S = 5.0
_SIGKILL = signal.SIGKILL


@dataclass(frozen=True)
class OciConfig:
    """`binary` empty chooses crun, else runc. `state_dir` is best on a tmpfs. `private_mounts` says
    that this process has a mount namespace of its own, which may be arranged as crun needs it."""

    state_dir: Path
    binary: str = ""
    cgroup_parent: CgroupParent = field(default_factory=CgroupParent)
    networks: Mapping[NetworkMode, NetworkProvider] = field(default_factory=default_networks)
    dns: DnsConfig = field(default_factory=DnsConfig)
    private_mounts: bool = False
    rootless: bool = False
    """Without cgroups, which an ordinary user does not have, and /sys, which needs a network
    namespace of one's own."""
    process_sandbox: bool = True
    """Whether containers have process ids and a /proc of their own."""
    apparmor_profile: str = ""
    trace_socket: Path | None = None
    """Where programs in containers may send spans; lent if it is there when they start."""


class OciContainer:
    """A started container; made by `OciExecutor.start`."""

    def __init__(self, executor: OciExecutor, id: str, bundle: Bundle, spec: ContainerSpec) -> None:
        self.id = id
        self.bundle = bundle
        self.spec = spec
        self.stubs: Stubs | None = None
        self._executor = executor
        self._main: ChildProcess | None = None
        self._process = Process(args=())
        self._killed = False
        self._oom_kills = oom_kills()
        self._complaint = Complaint()

    def remove_stubs(self) -> None:
        """Take away the mount points that were made for it, once it has ended."""
        if self.stubs is not None:
            self.stubs.remove()

    @property
    def _pid_file(self) -> Path:
        return self._executor.pids / self.id

    @property
    def _log_file(self) -> Path:
        return self.bundle.path / "log.json"

    def launch(self, process: Process, stdio: Stdio) -> None:
        argv = self._executor.command(
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
        self._main = self._executor.spawn(argv, process.tty, stdio, self.bundle.path)
        if stdio.signals is not None:
            self._main.accompany(self._pass_on(stdio.signals))

    async def _pass_on(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            await self.kill(number)

    async def wait(self) -> int:
        """See `Container`. Raises `StartError` when the process was never started."""
        assert self._main is not None
        code = await self._main.wait()
        if code and not self.init_pid():
            raise StartError(_last_error(self._log_file))
        if code and self._complaint.text:
            raise StartError(self._complaint.text)
        if code == 128 + signal.SIGKILL and not self._killed and oom_kills() > self._oom_kills:
            # The cgroup that would say it is gone with the container. The machine's own count
            # tells it from a process that was killed otherwise.
            limit = self.spec.resources.memory
            reason = f"memory limit of {limit} bytes reached" if limit else "killed by the kernel"
            raise ResourceExhausted(f"out of memory: {reason}")
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
            if self._executor.knows(self.id):
                await self._executor.delete(self.id)

    async def exec(self, process: Process, stdio: Stdio) -> int:
        """See `Container`."""
        if not await self._started():
            raise CrozeError(f"container {self.id} has stopped")
        name = f"exec-{secrets.token_hex(6)}"
        files = {kind: self.bundle.path / f"{name}.{kind}" for kind in ("json", "pid", "log")}
        user = await in_thread(lookup, str(self.bundle.rootfs), process.user)
        spec = oci_spec.process_json(process, user, self.spec, self._executor.host)
        config_file.write(files["json"], {"process": spec}, "process")
        argv = self._executor.command(
            files["log"],
            "exec",
            "--process",
            str(files["json"]),
            "--pid-file",
            str(files["pid"]),
            self.id,
        )
        try:
            return await self._run_exec(argv, stdio, process.tty, files)
        finally:
            for file in files.values():
                file.unlink(missing_ok=True)

    async def _run_exec(
        self, argv: Sequence[str], stdio: Stdio, tty: bool, files: Mapping[str, Path]
    ) -> int:
        child = self._executor.spawn(argv, tty, stdio, self.bundle.path)
        if stdio.signals is not None:
            child.accompany(_signal_all(stdio.signals, child, files["pid"]))
        try:
            code = await child.wait()
        finally:
            if child.running:
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int(files["pid"].read_text("ascii")), signal.SIGKILL)
            await child.close()
        if code and not files["pid"].exists():
            raise StartError(_last_error(files["log"]))
        return code


async def _signal_all(signals: AsyncIterator[int], child: ChildProcess, pid_file: Path) -> None:
    """Pass signals on to the process that `child` runs in a container."""
    async for number in signals:
        while child.running and not (pid := _read_pid(pid_file)):
            await asyncio.sleep(POLL_S)
        if child.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _read_pid(path: Path) -> int:
    """The pid in a runtime's pid file; 0 before it is there."""
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _last_error(path: Path) -> str:
    """The last error in a runtime's JSON log (crun and runc write the same fields)."""
    found = "the container did not start"
    with contextlib.suppress(OSError):
        for line in path.read_text("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("level") in ("error", "fatal"):
                    found = str(entry.get("msg", ""))
    return found


class OciExecutor:
    """`Executor` on crun or runc."""

    def __init__(self, config: OciConfig, host: host_facts.Host | None = None) -> None:
        if config.private_mounts:
            host_facts.hide_hybrid_cgroup()
        self.config = config
        self.host = host or host_facts.detect()
        if config.rootless:
            self.host = replace(self.host, cgroup="none")
        self.binary = find_runtime(config.binary)
        self._copy = SealedCopy(self.binary) if self._is_crun else None
        self._bundles = config.state_dir / "bundle"
        self._runtime_root = config.state_dir / "run"
        self.pids = config.state_dir / "pid"
        for folder in (self._bundles, self._runtime_root, self.pids):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if config.private_mounts:
            for left in self._bundles.iterdir():  # hidden below, it would never be found
                sweep.remove_bundle(left)
            for folder in (self._bundles, self._runtime_root):
                mount_tmpfs(folder)
        self._bpf = self._compile_filter()
        self._containers: dict[str, OciContainer] = {}
        self._etc = EtcFiles(config.state_dir, config.dns)

    @property
    def _is_crun(self) -> bool:
        return Path(self.binary).name == "crun"

    def _compile_filter(self) -> str:
        if not self._is_crun or not self.host.seccomp:
            return ""
        caps = frozenset(oci_spec.DEFAULT_CAPABILITIES)
        program = seccomp.compile_bpf(self.host.arch, caps, self.host.kernel)
        return base64.b64encode(program).decode() if program else ""

    def command(self, log_file: Path, *args: str) -> list[str]:
        """The runtime's command line."""
        root = str(self._runtime_root)
        options = ["--root", root, "--log", str(log_file), "--log-format", "json"]
        if self.config.rootless and self._is_crun:
            options += ["--cgroup-manager", "disabled"]
        binary = self._copy.path if self._copy is not None else self.binary
        return [binary, *options, *args]

    def spawn(self, argv: Sequence[str], tty: bool, stdio: Stdio, folder: Path) -> ChildProcess:
        """Start the runtime, the container's id last in `argv`.

        In the foreground crun may end before it has passed on all that a terminal said; with a
        console socket we read the terminal ourselves. runc has one only for detached containers.
        """
        if not tty or not self._is_crun:
            return ChildProcess.spawn(argv, stdio, tty=tty)
        console = ConsoleSocket(folder, f"{secrets.token_hex(4)}.sock")
        options = ["--console-socket", console.name]
        return ChildProcess.spawn_with_console([*argv[:-1], *options, argv[-1]], stdio, console)

    async def run(
        self, spec: ContainerSpec, process: Process, stdio: Stdio, *, id: str = ""
    ) -> int:
        """See `Executor`."""
        async with self.start(spec, process, stdio, id=id) as container:
            return await container.wait()

    @asynccontextmanager
    async def start(
        self, spec: ContainerSpec, process: Process, stdio: Stdio, *, id: str = ""
    ) -> AsyncIterator[OciContainer]:
        """A running container; on exit it is killed and nothing of it is left."""
        id = id or secrets.token_hex(12)
        if id in self._containers or "/" in id or id.startswith("."):
            raise InvalidRequest(f"invalid container id {id}")
        provider = self.config.networks.get(spec.network)
        if provider is None:
            raise InvalidRequest(f"unknown network mode {spec.network}")
        async with AsyncExitStack() as stack:
            if self.host.cgroup != "none":
                stirring = start_in_thread(stir)
                stack.push_async_callback(asyncio.wait, [stirring])
            network = await stack.enter_async_context(provider.open(id, spec.hostname))
            shares_host = provider.shares_host
            bundle = await self._enter_bundle(stack, id)
            stack.callback((self.pids / id).unlink, missing_ok=True)
            container = OciContainer(self, id, bundle, spec)
            stack.push_async_callback(in_thread, container.remove_stubs)
            try:
                await in_thread(self._prepare, container, process, network, shares_host)
            except StartError as error:
                # As a runtime would: who reads the step's output learns why there is none.
                stdio.stderr(f"{error}\n".encode())
                raise
            self._containers[id] = container
            stack.callback(self._containers.pop, id)
            stack.push_async_callback(lambda: finish(container.close()))
            container.launch(process, stdio)
            yield container

    async def _enter_bundle(self, stack: AsyncExitStack, id: str) -> Bundle:
        bundle = Bundle(self._bundles / id)
        stack.push_async_callback(in_thread, bundle.close)
        return bundle

    def _prepare(
        self, container: OciContainer, process: Process, network: Namespace, shares_host: bool
    ) -> None:
        """Everything on disk that the runtime needs: in a thread."""
        spec, bundle = container.spec, container.bundle
        bundle.mount_root(spec.root)
        user = lookup(str(bundle.rootfs), process.user)
        mounts = [oci for mount in spec.mounts for oci in bundle.add(mount)]
        container.stubs = Stubs(
            bundle.rootfs, [m.dest for m in mounts], recursive=spec.remove_mount_stubs
        )
        make_workdir(bundle.rootfs, process.cwd, user)
        trace = self.config.trace_socket
        placement = Placement(
            id=container.id,
            rootfs=str(bundle.rootfs),
            user=user,
            mounts=mounts,
            network=network,
            hosts_file=self._etc.hosts(bundle.path, spec.hostname, spec.extra_hosts),
            resolv_file=self._etc.resolv(shares_host=shares_host),
            default_cgroup_parent=self.config.cgroup_parent,
            trace_socket=str(trace) if trace is not None and trace.exists() else "",
            bpf=self._bpf,
        )
        config = self._confined(oci_spec.config_json(spec, process, placement, self.host), spec)
        config_file.write(bundle.path / "config.json", config)

    def _confined(self, config: oci_spec.Json, spec: ContainerSpec) -> oci_spec.Json:
        """As the daemon's own means and settings have it."""
        if self.config.apparmor_profile and not spec.insecure:
            config = restrict.apparmor(config, self.config.apparmor_profile)
        if self.config.rootless:
            config = restrict.rootless(config)
        return config if self.config.process_sandbox else restrict.without_process_sandbox(config)

    def knows(self, id: str) -> bool:
        """Whether the runtime still has state for a container."""
        return (self._runtime_root / id).exists()

    async def delete(self, id: str) -> None:
        """Make the runtime forget a container, killing what is left of it."""
        argv = self.command(Path(os.devnull), "delete", "--force", id)
        child = ChildProcess.spawn(argv, Stdio(_ignore, _ignore), tty=False)
        try:
            await child.wait()
        finally:
            await child.close()
        if self.knows(id):
            log.debug("the runtime could not delete container %s", id)
            await in_thread(self._remove_state, id)

    def _remove_state(self, id: str) -> None:
        """What `delete` does, for a container that the runtime left half made."""
        sweep.kill_init(self.pids / id)
        sweep.remove_cgroup(self.config.cgroup_parent.path(id))
        try_remove_tree(self._runtime_root / id)

    async def sweep(self) -> None:
        """See `Executor`."""
        for id in sweep.leftovers(self.pids, self._bundles, self._runtime_root):
            log.debug("removing container %s of an earlier run", id)
            await in_thread(sweep.kill_init, self.pids / id)
            if self.knows(id):
                await self.delete(id)
            await in_thread(sweep.remove_bundle, self._bundles / id)
            (self.pids / id).unlink(missing_ok=True)
            path = self.config.cgroup_parent.path(id)
            await in_thread(sweep.remove_cgroup, path)


def _ignore(_: bytes) -> None:
    """Output that nobody wants."""
