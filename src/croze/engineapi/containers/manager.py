"""All containers of a daemon, kept in a folder below its root."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from pathlib import Path

import msgspec

from croze.aio.parallel import task_group
from croze.aio.threads import in_thread
from croze.engineapi.containers import names, sources
from croze.engineapi.containers import spec as specs
from croze.engineapi.containers.container import KILLED, OneContainer, StoredState
from croze.engineapi.containers.execs import ExecCreate, OneExec
from croze.engineapi.containers.layers import ContainerLayers, OpenImage
from croze.engineapi.containers.spec import Create
from croze.engineapi.events import EventLog
from croze.errors import AlreadyExists, CrozeError, InvalidRequest, NotFound
from croze.fs.remove import remove_tree
from croze.gotypes import gojson
from croze.image import reference
from croze.runtime.contract import Container as Running
from croze.runtime.contract import ContainerSpec, Executor
from croze.runtime.inroot import RootedRequest
from croze.runtime.reach import Reaching, reaching
from croze.store.contract import ImmutableRef, MutableRef, RefStore
from croze.store.disk import disk_errors

log = logging.getLogger(__name__)


class Containers:
    """All containers of a daemon. `running` is entered once, and left when the daemon stops: what
    runs then is killed."""

    def __init__(
        self,
        folder: Path,
        refs: RefStore,
        executor: Executor,
        events: EventLog,
        open_image: OpenImage,
        in_use: Callable[[], AbstractContextManager[None]],
        host_gateway: str = "",
    ) -> None:
        self._folder = folder
        self._executor = executor
        self._events = events
        self._open_image = open_image
        self._in_use = in_use
        self._host_gateway = host_gateway
        self._all: dict[str, OneContainer] = {}
        self.layers = ContainerLayers(refs, open_image)
        self._group: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        await self._load()
        async with task_group() as group:
            self._group = group
            try:
                yield
            finally:
                for each in self._all.values():
                    if each.task is not None:
                        each.task.cancel()
        await self.layers.release()

    async def _load(self) -> None:
        """What ran when the daemon was killed was killed with it."""
        for folder in sorted(self._folder.iterdir()):
            try:
                data = (folder / "state.json").read_bytes()
                one = OneContainer(gojson.unmarshal(data, type=StoredState), folder)
            except (OSError, msgspec.MsgspecError, RecursionError) as error:
                log.warning("container %s is lost: %s", folder.name, error)
                await in_thread(remove_tree, folder)
                continue
            if one.running:
                one.state.exit_code = KILLED
                one.finish()
            if one.spec.host_config.auto_remove and one.state.status == "exited":
                await self.layers.discard(one.state.layer, None)
                await in_thread(remove_tree, folder)
                continue
            self._all[one.id] = one
            await self.layers.recover(one)

    # -- look-up --

    def all(self) -> list[OneContainer]:
        """All containers, the newest first."""
        return sorted(self._all.values(), key=lambda one: -one.created_ns)

    def using(self, image_id: str) -> list[OneContainer]:
        return [one for one in self.all() if one.state.image_id == image_id]

    def find(self, text: str) -> OneContainer:
        """The container of a name or an id, or of the beginning of one. Raises `NotFound`."""
        bare = text.removeprefix("/")
        for one in self._all.values():
            if bare in (one.id, one.state.name):
                return one
        fitting = [one for one in self._all.values() if bare and one.id.startswith(bare)]
        if len(fitting) > 1:
            raise InvalidRequest(f"multiple IDs found with provided prefix: {text}")
        if not fitting:
            raise NotFound(f"No such container: {text}")
        return fitting[0]

    # -- life --

    async def create(
        self, spec: Create, name: str, image_id: str, image_name: str, platform: str
    ) -> OneContainer:
        """Make a container, not to run yet. Raises `AlreadyExists` for a name that is taken."""
        self.check_free(name)
        await in_thread(sources.check, specs.needed_sources(spec))
        config, ref = await self._open_image(image_name, platform)
        try:
            specs.process_of(spec, config)
            specs.extra_hosts(spec, self._host_gateway)
            # From here on it is made of this very image, whoever gets its name.
            layer_id, layer = await self.layers.fresh(ref, name)
        finally:
            if ref is not None:
                await ref.release()
        state = StoredState(
            id=secrets.token_hex(32),
            name=name,
            created_ns=time.time_ns(),
            spec=spec,
            image_id=image_id,
            image_name=image_name,
            config=config,
            layer=layer_id,
        )
        try:
            return self._made(state, layer)
        except BaseException:
            await self.layers.discard(layer_id, layer)
            raise

    def _made(self, state: StoredState, layer: ImmutableRef) -> OneContainer:
        """Waits for nothing: nobody comes in between."""
        self.check_free(state.name)
        state.name = state.name or names.fresh({one.state.name for one in self._all.values()})
        folder = self._folder / state.id
        one = OneContainer(state, folder)
        with disk_errors("failed to write the container's state"):
            folder.mkdir(mode=0o700)
        try:
            one.save()
        except BaseException:
            remove_tree(folder)
            raise
        self._all[one.id] = one
        self.layers.add(one, layer)
        self.tell(one, "create")
        return one

    def check_free(self, name: str) -> None:
        """See that a container may have this name. Raises `AlreadyExists`, and `InvalidRequest` for
        what is no name."""
        if name:
            names.check(name)
        for one in self._all.values():
            if name and one.state.name == name:
                raise AlreadyExists(
                    f'Conflict. The container name "/{name}" is already in use by container '
                    f'"{one.id}". You have to remove (or rename) that container to be able to '
                    "reuse that name."
                )

    async def start(self, one: OneContainer) -> None:
        """Start a container; returns when its process is there. Raises `InvalidRequest` if it can't
        be started."""
        assert self._group is not None
        await self._end_copies(one)
        async with one.at_rest:
            if one.running:
                return
            up = one.begin()
            one.task = self._group.create_task(self._alone(one, self._run(one)))
        await asyncio.shield(up)
        if one.state.error and not one.running:
            if one.lacks_user:
                raise InvalidRequest(one.state.error)
            raise InvalidRequest(
                "failed to create task for container: OCI runtime create failed: "
                f"{one.state.error}: unknown"
            )

    async def _alone(self, one: OneContainer, work: Awaitable[None]) -> None:
        """What is wrong with a container ends no other."""
        with self._in_use():
            try:
                await work
            except Exception:
                log.exception("container %s", one.id[:12])

    async def _run(self, one: OneContainer) -> None:
        self.tell(one, "start")
        try:
            async with self.layers.writing(one) as layer:
                await one.run(await self._spec(one, layer), self._executor)
        except CrozeError as error:
            one.state.exit_code, one.state.error = 128, str(error)
        except Exception as error:  # it is one container's end, and not that of all
            log.exception("container %s", one.id[:12])
            one.state.exit_code, one.state.error = 128, f"internal error: {error}"
        finally:
            one.finish()
            self.tell(one, "die", exitCode=str(one.state.exit_code))
            if one.removes_itself:
                await self.remove(one)

    async def _spec(self, one: OneContainer, layer: MutableRef) -> ContainerSpec:
        spec = one.spec
        await in_thread(sources.make, specs.made_sources(spec))
        return ContainerSpec(
            root=await layer.mounts(readonly=False),
            mounts=[*specs.binds(spec), *specs.tmpfs(spec)],
            readonly_root=spec.host_config.readonly_rootfs,
            hostname=one.hostname,
            network=specs.network(spec),
            extra_hosts=specs.extra_hosts(spec, self._host_gateway),
            ulimits=specs.ulimits(spec),
            resources=specs.resources(spec),
            traced=False,
        )

    # -- files --

    async def _end_copies(self, one: OneContainer) -> None:
        """Nobody who reads or writes slowly keeps it from being started, or removed."""
        if one.at_rest.locked():
            await one.end_copies()

    @asynccontextmanager
    async def reaching(self, one: OneContainer, request: RootedRequest) -> AsyncIterator[Reaching]:
        """A request for a container's files, whether it runs or not; `request.root` is filled in.
        While a container that doesn't run is read or written, it is not started or removed, unless
        that takes long."""
        async with self._root(one) as root, _reached(request, root) as reached:
            with one.copying(reached):
                yield reached

    @asynccontextmanager
    async def _root(self, one: OneContainer) -> AsyncIterator[Path]:
        """Where a container's files are. It may have been started, or removed, while it was waited
        for."""
        async with AsyncExitStack() as stack:
            if not one.running:
                await stack.enter_async_context(one.at_rest)
                if self._all.get(one.id) is not one:
                    raise NotFound(f"No such container: {one.id}")
            if one.running:
                await stack.aclose()
                yield one.process.root
                return
            stack.callback(one.save)
            layer = await stack.enter_async_context(self.layers.writing(one))
            yield await stack.enter_async_context(layer.mounted(readonly=False))

    # -- more processes --

    def new_exec(self, one: OneContainer, spec: ExecCreate) -> OneExec:
        """Note one more process for a container. Raises `AlreadyExists` if that does not run."""
        _ = one.process
        process = OneExec(spec)
        one.keep(process)
        self.tell(one, f"exec_create: {' '.join(spec.cmd)}", execID=process.id)
        return process

    def find_exec(self, id: str) -> tuple[OneContainer, OneExec]:
        """A process by its id, and its container. Raises `NotFound`."""
        for one in self._all.values():
            if (process := one.execs.get(id)) is not None:
                return one, process
        raise NotFound(f"No such exec instance: {id}")

    def start_exec(self, one: OneContainer, process: OneExec) -> None:
        """Start a process that was noted. Raises `AlreadyExists` if the container does not run, or
        it was started before."""
        assert self._group is not None
        running = one.process
        process.begin()
        self._group.create_task(self._alone(one, self._exec(one, process, running)))

    async def _exec(self, one: OneContainer, new: OneExec, running: Running) -> None:
        about = {"execID": new.id}
        self.tell(one, f"exec_start: {' '.join(new.asked.cmd)}", **about)
        process = specs.process_in(one.spec, one.state.config, new.asked, one.hostname)
        await new.run(running, process)
        self.tell(one, "exec_die", **about, exitCode=str(new.exit_code))

    async def stop(self, one: OneContainer, number: int, patience_s: float) -> None:
        """Ask a container to end, and kill it if it does not in time."""
        await one.kill(number)
        try:
            async with asyncio.timeout(patience_s):
                await one.ended.wait()
        except TimeoutError:
            await one.kill(9)
            await one.ended.wait()
        self.tell(one, "stop")

    async def remove(self, one: OneContainer) -> None:
        """Remove a container with all that it wrote. Idempotent. Raises `AlreadyExists` for one
        that runs."""
        await self._end_copies(one)
        async with one.at_rest:
            if one.running:  # it may have been started just now
                raise AlreadyExists(
                    f'cannot remove container "/{one.state.name}": container is running: stop the '
                    "container before removing or force remove"
                )
            if self._all.pop(one.id, None) is None:
                return
            await self.layers.remove(one)
            await in_thread(remove_tree, one.folder)
        one.removed.set()
        self.tell(one, "destroy")

    def tell(self, one: OneContainer, action: str, **more: str) -> None:
        image = reference.familiar(one.state.image_name)
        about = {**one.spec.labels, "image": image, "name": one.state.name, **more}
        self._events.emit("container", action, one.id, about)


def _reached(request: RootedRequest, root: Path) -> AbstractAsyncContextManager[Reaching]:
    return reaching(msgspec.structs.replace(request, root=str(root)))
