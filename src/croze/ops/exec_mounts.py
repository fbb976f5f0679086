"""The mounts of an exec: from what LLB says to what a container gets, and back to results."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from contextlib import AsyncExitStack

from msgspec import Struct, field

from croze.aio.parallel import all_of
from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.ops.carried import CARRIED
from croze.ops.results import RefResult
from croze.ops.secrets import SecretFiles
from croze.ops.services import OpServices
from croze.ops.ssh import agent_mount
from croze.ops.validate import EMPTY, ROOT, SKIP_OUTPUT
from croze.runtime.contract import ContainerMount
from croze.solver.contract import OpContext
from croze.store.contract import ImmutableRef, MountSpec, MutableRef, Sharing

State = ImmutableRef | None


class PreparedMount(Struct, eq=False):
    """One mount that is ready. `output` is the input where that is handed on as a result."""

    mount: ops_pb2.Mount
    mounts: Sequence[MountSpec] = ()
    readonly: bool = False
    output: ImmutableRef | None = None
    written: MutableRef | None = None
    """To be committed when the step succeeds, if the mount has an output."""
    skipped: bool = False


class PreparedMounts(Struct):
    """All mounts of one exec, in their order."""

    items: list[PreparedMount] = field(default_factory=list)

    @property
    def root(self) -> PreparedMount:
        return next(p for p in reversed(self.items) if p.mount.dest == ROOT)

    def container_mounts(self, cwd: str) -> list[ContainerMount]:
        """What the container gets besides its root; parents before what is mounted in them."""
        mounts = [
            ContainerMount(
                dest=posixpath.join("/", cwd, p.mount.dest),
                mounts=p.mounts,
                selector=p.mount.selector,
                readonly=p.readonly,
            )
            for p in self.items
            if p.mount.dest != ROOT and not p.skipped
        ]
        return sorted(mounts, key=lambda m: m.dest.encode())

    async def results(self) -> list[RefResult]:
        """Commit what was written; one result an output, in the order of the mounts."""
        results: list[RefResult] = []
        try:
            for item in self.items:
                if item.mount.output == SKIP_OUTPUT or item.skipped:
                    continue
                if item.written is not None:
                    results.append(RefResult(await item.written.commit()))
                    item.written = None
                else:
                    results.append(_handed_on(item))
            return results
        except BaseException:
            for result in results:
                await result.release()
            raise

    async def states(self) -> list[RefResult | None]:
        """What a step that failed has made of every mount, None for those it could not change."""
        states: list[RefResult | None] = []
        for item in self.items:
            if item.written is not None:
                states.append(RefResult(await item.written.commit()))
                item.written = None
            else:
                states.append(None)
        return states


class MountPreparer:
    """Prepares the mounts of one run. Everything it takes is given back when `stack` closes."""

    def __init__(
        self,
        services: OpServices,
        stack: AsyncExitStack,
        sessions: Sequence[str],
        inputs: Sequence[State],
        name: str,
        ctx: OpContext | None = None,
    ) -> None:
        """`ctx`: of a step of builds, whose caches may have contents of its cache mounts."""
        self._services = services
        self._stack = stack
        self._sessions = sessions
        self._inputs = inputs
        self._name = name
        self._ctx = ctx
        self._secrets = SecretFiles(services.scratch_dir, stack)
        self._caches: dict[tuple[str, str], MutableRef] = {}

    async def prepare(self, mounts: Sequence[ops_pb2.Mount]) -> PreparedMounts:
        """Make all mounts ready: binds side by side, cache mounts in an order that is the same for
        all steps, so that no two wait for each other."""
        items = [PreparedMount(mount) for mount in mounts]
        caches = [i for i in items if i.mount.mountType == ops_pb2.CACHE]
        others = [i for i in items if i.mount.mountType != ops_pb2.CACHE]
        for item in items:
            self._check(item.mount)
        await all_of(self._prepare_one(item) for item in others)
        for item in sorted(caches, key=lambda i: i.mount.cacheOpt.ID):
            await self._cache(item)
        return PreparedMounts(items)

    def _check(self, mount: ops_pb2.Mount) -> None:
        if mount.dest == ROOT and mount.mountType != ops_pb2.BIND:
            names = {number: name for name, number in ops_pb2.MountType.items()}
            kind = names.get(mount.mountType, mount.mountType)
            raise InvalidRequest(f"invalid mount type {kind} for {mount.dest}")
        if mount.input != EMPTY and not 0 <= mount.input < len(self._inputs):
            raise InvalidRequest(f"missing input {mount.input}")

    def _input(self, mount: ops_pb2.Mount) -> State:
        return None if mount.input == EMPTY else self._inputs[mount.input]

    async def _prepare_one(self, item: PreparedMount) -> None:
        match item.mount.mountType:
            case ops_pb2.BIND:
                await self._bind(item)
            case ops_pb2.TMPFS:
                self._tmpfs(item)
            case ops_pb2.SECRET:
                await self._secret(item)
            case ops_pb2.SSH:
                await self._ssh(item)
            case _:
                raise InvalidRequest(f"mount type {item.mount.mountType} not implemented")

    async def _bind(self, item: PreparedMount) -> None:
        mount, ref = item.mount, self._input(item.mount)
        item.readonly = mount.readonly
        if mount.readonly and ref is not None and mount.dest != ROOT:
            item.output = ref
            item.mounts = await ref.mounts(readonly=True, sessions=self._sessions)
            return
        # Written to: as a result, or in a private copy that is thrown away.
        description = f"mount {mount.dest} from {self._name}"
        mutable = await self._services.refs.new(
            ref, description=description, sessions=self._sessions
        )
        item.written = mutable
        self._stack.push_async_callback(_release_unless_committed, item)
        item.mounts = await mutable.mounts(readonly=False)

    async def _cache(self, item: PreparedMount) -> None:
        mount, base = item.mount, self._input(item.mount)
        if not mount.HasField("cacheOpt"):
            raise InvalidRequest("missing cache mount options")
        key = (mount.cacheOpt.ID, "" if base is None else base.id)
        if key not in self._caches:
            await self._bring(mount, base)
            self._caches[key] = await self._stack.enter_async_context(
                self._services.refs.cache_mount(
                    mount.cacheOpt.ID,
                    base,
                    _sharing(mount.cacheOpt.sharing),
                    description=self._cache_description(mount),
                )
            )
        item.readonly = mount.readonly
        item.mounts = await self._caches[key].mounts(readonly=mount.readonly)
        item.output = base

    async def _bring(self, mount: ops_pb2.Mount, base: State) -> None:
        if self._ctx is None:
            return
        sharing, text = _sharing(mount.cacheOpt.sharing), self._cache_description(mount)
        for each in self._ctx.job_values(CARRIED):
            await each.bring(mount.cacheOpt.ID, base, sharing, self._ctx, description=text)

    def _cache_description(self, mount: ops_pb2.Mount) -> str:
        text = f"cached mount {mount.dest} from {self._name}"
        id = mount.cacheOpt.ID
        return text if id == mount.dest else f'{text} with id "{id}"'

    def _tmpfs(self, item: PreparedMount) -> None:
        options = ["nosuid"]
        if item.mount.readonly:
            options.append("ro")
        if item.mount.TmpfsOpt.size > 0:
            options.append(f"size={item.mount.TmpfsOpt.size}")
        item.mounts = [MountSpec("tmpfs", "tmpfs", tuple(options))]

    async def _secret(self, item: PreparedMount) -> None:
        if not item.mount.HasField("secretOpt"):
            raise InvalidRequest("invalid secret mount options")
        mount = await self._secrets.mount(
            item.mount.secretOpt, self._services.sessions, self._sessions
        )
        item.skipped = mount is None
        item.mounts = [mount] if mount is not None else []

    async def _ssh(self, item: PreparedMount) -> None:
        mount = await agent_mount(
            item.mount.SSHOpt,
            self._services.sessions,
            self._sessions,
            self._stack,
            self._services.scratch_dir,
        )
        item.skipped = mount is None
        item.mounts = [mount] if mount is not None else []


def _handed_on(item: PreparedMount) -> RefResult:
    """The input as output."""
    return RefResult(None if item.output is None else item.output.clone())


async def _release_unless_committed(item: PreparedMount) -> None:
    if item.written is not None:
        await item.written.release()


def _sharing(value: int) -> Sharing:
    try:
        return Sharing(value)
    except ValueError:
        raise InvalidRequest(f"invalid cache sharing option: {value}") from None
