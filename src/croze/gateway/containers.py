"""Containers that a frontend opens on results: to run more, or to look around after a failure.

A container is prepared by `NewContainer`. The first `ExecProcess` in it is its main process: when
that ends, the container does, and those started later with it. Nothing that is written in it is
kept. What BuildKit's `frontend/gateway/container` does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from croze.aio.threads import finish, in_thread
from croze.api import gateway_pb2, ops_pb2, stat_pb2
from croze.errors import AlreadyExists, Canceled, CrozeError, InvalidRequest, NotFound
from croze.fs import mount as fs_mount
from croze.gateway import files
from croze.gotypes.strings import from_bytes
from croze.llb.execop import default_path
from croze.ops import secrets as step_secrets
from croze.ops.exec import DEFAULT_HOSTNAME, extra_host, is_insecure, network_mode
from croze.ops.exec_mounts import MountPreparer, PreparedMount
from croze.ops.services import OpServices
from croze.ops.validate import EMPTY, ROOT
from croze.rpc.status import in_go_words
from croze.runtime.contract import Container, ContainerSpec, Process, Stdio
from croze.runtime.proxied import Proxied
from croze.store import mount as store_mount
from croze.store.contract import ImmutableRef, MountSpec

FindState = Callable[[str], Awaitable[ImmutableRef | None]]
"""The filesystem of a result by id; raises for an unknown one. The handle stays the finder's."""

ExecCheck = Callable[["ops_pb2.NetMode.ValueType", "ops_pb2.SecurityMode.ValueType"], None]
"""Refuses what the build has no entitlement for."""

Wait = Callable[[], Awaitable[int]]
"""Waits for a process; its exit code."""


class GatewayContainers:
    """The containers of one build, by the id that its frontend chose."""

    def __init__(
        self,
        ops: OpServices,
        sessions: Callable[[], Sequence[str]],
        check: ExecCheck,
        proxied: Proxied | None = None,
    ) -> None:
        self._ops = ops
        self._sessions = sessions
        self._check = check
        self._proxied = proxied
        self._open: dict[str, GatewayContainer] = {}

    async def new(self, request: gateway_pb2.NewContainerRequest, find: FindState) -> None:
        """Prepare one. Raises `AlreadyExists` for an id that is taken."""
        id = request.ContainerID
        container = await open_container(self._ops, request, find, self._sessions(), self._proxied)
        if id in self._open:
            await finish(container.release())
            raise in_go_words(AlreadyExists(f"Container {id} already exists"))
        self._open[id] = container

    def get(self, id: str) -> GatewayContainer:
        """The container of this id. Raises `NotFound`."""
        container = self._open.get(id)
        if container is None:
            raise NotFound(f"container details for {id} not found")
        return container

    def check(self, id: str) -> None:
        """See that there is a container of this id. Raises `NotFound`."""
        self.get(id)

    async def start(self, init: gateway_pb2.InitMessage, stdio: Stdio) -> Wait:
        """Start a process in the container that `init` names."""
        container = self.get(init.ContainerID)
        self._check(container.network, init.Security)
        secret_env = await step_secrets.environment(
            init.secretenv, self._ops.sessions, self._sessions()
        )
        return await container.start(init, secret_env, stdio)

    async def release(self, id: str) -> None:
        """Kill what runs in it and forget it. Raises `Canceled`, after that, if something ran."""
        container = self._open.pop(id, None)
        if container is None:
            raise NotFound(f"container details for {id} not found")
        busy = container.busy
        await finish(container.release())
        if busy:
            raise Canceled()

    async def close(self) -> None:
        """Release all of them."""
        while self._open:
            await self._open.popitem()[1].release()

    async def read_file(self, request: gateway_pb2.ReadFileRequest) -> bytes:
        root = await self.get(request.Ref).folder(request.MountIndex)
        offset, length = files.range_of(request)
        return await in_thread(files.read_below, root, from_bytes(request.FilePath), offset, length)

    async def read_dir(self, request: gateway_pb2.ReadDirRequest) -> list[stat_pb2.Stat]:
        root = await self.get(request.Ref).folder(request.MountIndex)
        path, include = from_bytes(request.DirPath), from_bytes(request.IncludePattern)
        return await in_thread(files.list_below, root, path, include)

    async def stat_file(self, request: gateway_pb2.StatFileRequest) -> stat_pb2.Stat:
        root = await self.get(request.Ref).folder(request.MountIndex)
        return await in_thread(files.stat_below, root, from_bytes(request.Path))


class GatewayContainer:
    """One container; made by `open_container`, given back by `release`."""

    def __init__(
        self,
        ops: OpServices,
        spec: ContainerSpec,
        items: Sequence[PreparedMount],
        request: gateway_pb2.NewContainerRequest,
        stack: AsyncExitStack,
    ) -> None:
        self.network = request.Network
        self._ops = ops
        self._spec = spec
        self._platform = request.platform
        self._items = items
        self._stack = stack
        self._folders: dict[int, Path] = {}
        self._lock = asyncio.Lock()
        self._running: Container | None = None
        self._processes = 0
        self._ended = False
        self._released = False

    async def start(
        self, init: gateway_pb2.InitMessage, secret_env: Sequence[str], stdio: Stdio
    ) -> Wait:
        """Start the main process, or one more beside it."""
        process = process_of(init, secret_env, self._platform)
        async with self._lock:
            self._check_open()
            running = self._running
            if running is None:
                spec = replace(
                    self._spec,
                    insecure=is_insecure(init.Security),
                    remove_mount_stubs=init.Meta.removeMountStubsRecursive,
                )
                self._running = await self._stack.enter_async_context(
                    self._ops.executor.start(spec, process, stdio)
                )
                return partial(self._unless_released, partial(self._main, self._running))
            if self._ended:
                raise NotFound(f"container {init.ContainerID} not found")
        return partial(self._unless_released, partial(running.exec, process, stdio))

    async def _main(self, running: Container) -> int:
        """The exit code of the main process, whose end is the container's."""
        try:
            return await running.wait()
        finally:
            self._ended = True

    async def _unless_released(self, wait: Wait) -> int:
        """The exit code. Raises `Canceled` for a process that the release has killed."""
        self._processes += 1
        try:
            code = await wait()
        except CrozeError:
            if self._released:
                raise Canceled() from None
            raise
        finally:
            self._processes -= 1
        if self._released:
            raise Canceled()
        return code

    @property
    def busy(self) -> bool:
        """Whether a process runs in it."""
        return self._processes > 0

    async def folder(self, index: int) -> Path:
        """Where the files of a mount are, on the host."""
        if not 0 <= index < len(self._items):
            raise InvalidRequest(
                f"mount index {index} is out of bounds ({len(self._items)} available)"
            )
        async with self._lock:
            self._check_open()
            if index not in self._folders:
                await in_thread(self._mount, index)
            return self._folders[index]

    def _mount(self, index: int) -> None:
        item = self._items[index]
        if item.written is not None:
            self._folders[index] = Path(item.mounts[0].source)
            return
        target = self._ops.scratch_dir / f"container-{secrets.token_hex(8)}"
        target.mkdir(mode=0o700)
        self._stack.callback(target.rmdir)
        mounts = store_mount.readonly(item.mounts)
        store_mount.mount_all(mounts, target)
        for _ in mounts:
            self._stack.callback(fs_mount.unmount, target)
        self._folders[index] = target

    async def release(self) -> None:
        """Kill what runs and drop what was written. Idempotent."""
        self._released = True
        async with self._lock:  # whoever starts or mounts something has given it to the stack
            await self._stack.aclose()

    def _check_open(self) -> None:
        if self._released:
            raise Canceled()


async def open_container(
    ops: OpServices,
    request: gateway_pb2.NewContainerRequest,
    find: FindState,
    sessions: Sequence[str],
    proxied: Proxied | None = None,
) -> GatewayContainer:
    """Prepare the mounts; nothing runs yet."""
    network = network_mode(request.Network)
    if not any(mount.dest == ROOT for mount in request.Mounts):
        raise InvalidRequest(f"container {request.ContainerID} has no mount for {ROOT}")
    hosts = [extra_host(entry) for entry in request.extraHosts]
    async with AsyncExitStack() as stack:
        states = [await find(m.resultID) if m.resultID else None for m in request.Mounts]
        name = f"container {request.ContainerID}"
        preparer = MountPreparer(ops, stack, sessions, states, name)
        prepared = await preparer.prepare(
            [_mount(mount, index) for index, mount in enumerate(request.Mounts)]
        )
        for item in prepared.items:
            if item.written is not None:
                # Mounted once, for the container and for those who read its files meanwhile.
                path = await stack.enter_async_context(item.written.mounted(readonly=False))
                item.mounts = [MountSpec("bind", str(path), ("rbind", "rw"))]
        spec = ContainerSpec(
            root=prepared.root.mounts,
            mounts=prepared.container_mounts("/"),
            readonly_root=prepared.root.mount.readonly,
            hostname=request.hostname or DEFAULT_HOSTNAME,
            network=network,
            extra_hosts=hosts,
            proxied=proxied if network != "none" else None,
        )
        return GatewayContainer(ops, spec, prepared.items, request, stack.pop_all())


def _mount(mount: ops_pb2.Mount, index: int) -> ops_pb2.Mount:
    """The mount on state `index`, in a copy of its own unless it is read-only."""
    message = ops_pb2.Mount()
    message.CopyFrom(mount)
    message.input = index if mount.resultID else EMPTY
    message.output = index
    return message


_PROCESS_FIELDS = frozenset({"args", "env", "cwd", "user", "removeMountStubsRecursive"})
"""The fields of `Meta` that a process can have of its own; the rest is its container's."""


def process_of(
    init: gateway_pb2.InitMessage, secret_env: Sequence[str], platform: ops_pb2.Platform
) -> Process:
    """What is to run. Raises `InvalidRequest`."""
    meta = init.Meta
    for field, _ in meta.ListFields():
        if field.name not in _PROCESS_FIELDS:
            raise InvalidRequest(f"{field.name} can't be set for a process of a container")
    env = list(meta.env)
    if not any(pair.startswith("PATH=") for pair in env):
        env.append(f"PATH={default_path(platform.OS)}")
    if init.Tty and not any(pair.startswith("TERM=") for pair in env):
        env.append("TERM=xterm")
    return Process(
        args=list(meta.args),
        env=[*env, *secret_env],
        cwd=meta.cwd or "/",
        user=meta.user,
        tty=init.Tty,
    )
