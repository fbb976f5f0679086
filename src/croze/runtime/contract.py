"""What it takes to run a process in a container, whichever OCI runtime does it.

`oci.OciExecutor` is the one implementation. A process that can't be started (no such executable)
raises `runtime.errors.StartError` with the runtime's reason.

    spec = ContainerSpec(root=[MountSpec("bind", "/rootfs")], network="none")
    stdio = Stdio(stdout=out.extend, stderr=errors.extend)
    code = await executor.run(spec, Process(["make"], cwd="/src"), stdio)
    async with executor.start(spec, Process(["sleep", "inf"]), stdio) as container:
        code = await container.exec(Process(["ls"]), stdio)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct, field

from croze.aio.backlog import Backlog
from croze.runtime.cgroup_parent import CgroupParent
from croze.runtime.proxied import Proxied
from croze.store.contract import MountSpec

NetworkMode = Literal["sandbox", "host", "none"]


class DeviceNode(Struct, frozen=True, rename="camel"):
    """A device file. What is not said is taken from the host's file."""

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class MountEdit(Struct, frozen=True, rename="camel"):
    """A mount that a container gets."""

    host_path: str
    container_path: str
    options: list[str] = []
    type: str = ""


class Hook(Struct, frozen=True, rename="camel"):
    """A program that the runtime runs at some point of a container's life (OCI runtime-spec)."""

    hook_name: str
    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class ContainerEdits(Struct, frozen=True, rename="camel"):
    """What changes in a container's configuration, as CDI's spec files say it (SPEC.md)."""

    env: list[str] = []
    device_nodes: list[DeviceNode] = []
    mounts: list[MountEdit] = []
    hooks: list[Hook] = []
    additional_gids: list[int] = field(default_factory=list, name="additionalGids")


class ResourceUsage(Struct, frozen=True):
    """What a container has used. `machine`: the seconds that all CPUs of the machine spent
    meanwhile, by what they did."""

    samples: tuple[Mapping[str, object], ...] = ()
    machine: dict[str, float] | None = None

    def members(self) -> dict[str, object]:
        """The members of provenance's `resourceUsage`."""
        members: dict[str, object] = {"samples": list(self.samples)} if self.samples else {}
        return members | ({"sysCPUStat": self.machine} if self.machine is not None else {})


class ContainerMount(Struct, frozen=True):
    """A mount in a container, at `dest`. `selector` picks a path below the mount's root, resolved
    without leaving it."""

    dest: str
    mounts: Sequence[MountSpec]
    selector: str = ""
    readonly: bool = False


class Rlimit(Struct, frozen=True):
    """A limit of a process (setrlimit(2)), by its name without `RLIMIT_`; -1 for none."""

    name: str
    soft: int
    hard: int


class Resources(Struct, frozen=True):
    """Linux resources, 0 or empty for no limit; bytes and microseconds."""

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int = 0


class Process(Struct, frozen=True):
    """What runs. `user` is looked up in the container's own `/etc/passwd` and `/etc/group`."""

    args: Sequence[str]
    env: Sequence[str] = ()
    cwd: str = "/"
    user: str = ""
    tty: bool = False


class ContainerSpec(Struct, frozen=True):
    """Where it runs. `root` is the writable (or `readonly_root`) root filesystem."""

    root: Sequence[MountSpec]
    mounts: Sequence[ContainerMount] = ()
    readonly_root: bool = False
    hostname: str = "buildkitsandbox"
    network: NetworkMode = "sandbox"
    insecure: bool = False
    extra_hosts: Sequence[tuple[str, str]] = ()
    """(host name, IP address)"""
    ulimits: Sequence[Rlimit] = ()
    cgroup_parent: CgroupParent = field(default_factory=CgroupParent)
    resources: Resources = field(default_factory=Resources)
    remove_mount_stubs: bool = True
    """Remove the empty files and directories that had to be made as mount points."""
    traced: bool = True
    """Whether programs in it are told where spans of builds go."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    devices: Sequence[ContainerEdits] = ()
    """What comes with the host's devices (CDI)."""
    proxied: Proxied | None = None
    """Its network has nothing but a proxy of the daemon's, which asks by the network meant."""
    on_usage: Callable[[ResourceUsage], None] | None = None
    """Told once it has ended what it used, on machines that can say (cgroups of version 2)."""


class Stdio(Struct, frozen=True):
    """Callbacks run on the event loop's thread, in order; `stdin` is None for /dev/null. While
    `backlog` is full nothing is read, and the process waits."""

    stdout: Callable[[bytes], None]
    stderr: Callable[[bytes], None]
    stdin: AsyncIterator[bytes] | None = None
    resize: AsyncIterator[tuple[int, int]] | None = None
    """(rows, columns), for a tty."""
    signals: AsyncIterator[int] | None = None
    """Sent to the process, once it is there."""
    backlog: Backlog | None = None
    """Where the callbacks count what they can't pass on at once; None if they always can."""


class Container(Protocol):
    """A started container."""

    @property
    def root(self) -> Path:
        """The root filesystem on the host, without what is mounted in it for the container. Who
        looks into it does so through `reach`, and no longer than it runs."""

    async def wait(self) -> int:
        """The exit code; 128 + n for a signal. All output was delivered before it returns."""

    async def kill(self, signal: int) -> None:
        """Send a signal to the container's first process. Nothing happens if it has ended."""

    async def executed(self) -> int:
        """Waits until the process runs: its pid, or 0 if it ended before; then `wait` tells why."""

    async def exec(
        self,
        process: Process,
        stdio: Stdio,
        *,
        on_start: Callable[[int], None] | None = None,
    ) -> int:
        """One more process in it; `on_start` is told its pid. Raises `StartError`, and another
        `errors.CrozeError` if the container has ended."""


class Executor(Protocol):
    """Runs containers. Nothing of a container is left when `run` is over, however it ends."""

    async def run(
        self, spec: ContainerSpec, process: Process, stdio: Stdio, *, id: str = ""
    ) -> int:
        """Run to the end and return the exit code. Raises `errors.CrozeError` when the container
        can't be made (with the runtime's reason), and `runtime.errors.OutOfMemory` naming the
        memory limit after an OOM kill. When the task is cancelled, everything in the container is
        killed within a second and cleaned up before the cancellation goes on."""

    def start(
        self, spec: ContainerSpec, process: Process, stdio: Stdio, *, id: str = ""
    ) -> AbstractAsyncContextManager[Container]:
        """Like `run`, for a container that more processes are run in: it is running inside the
        `async with`, and killed and cleaned up on the way out."""
