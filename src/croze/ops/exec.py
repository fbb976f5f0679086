"""A process in a container (`ExecOp`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextlib import AsyncExitStack

from croze.api import ops_pb2
from croze.errors import (
    Canceled,
    CrozeError,
    ExitError,
    InvalidRequest,
    NotFound,
    SolveDetail,
)
from croze.gotypes.quote import quote
from croze.image import platform as platforms
from croze.llb.execop import default_path
from croze.ops import emulator, exec_keys, secrets
from croze.ops.exec_mounts import MountPreparer, PreparedMounts
from croze.ops.failed import id_of, keep_mounts, naming_op_in_errors
from croze.ops.limits import StepLimits
from croze.ops.load import LoadedOp
from croze.ops.logs import OpLog
from croze.ops.proxied import PROXIED
from croze.ops.results import ref_of
from croze.ops.services import OpServices
from croze.ops.validate import EMPTY
from croze.runtime.cdi import edits
from croze.runtime.cgroup_parent import CgroupParent
from croze.runtime.contract import (
    ContainerEdits,
    ContainerMount,
    ContainerSpec,
    NetworkMode,
    Process,
    Resources,
    ResourceUsage,
    Rlimit,
    Stdio,
)
from croze.runtime.errors import OutOfMemory, StartError
from croze.runtime.proxied import Proxied, ProxyCapture
from croze.solver.contract import CacheMap, Limits, OpContext, Result
from croze.store.contract import MountSpec
from croze.telemetry.build import trace_env, traced

DEFAULT_HOSTNAME = "buildkitsandbox"
START_FAILED = 1
"""The exit code of a step whose executable can't be run: that of the runtime."""

NETWORKS: dict[int, NetworkMode] = {
    ops_pb2.UNSET: "sandbox",
    ops_pb2.HOST: "host",
    ops_pb2.NONE: "none",
}


class ExecOp:
    """`Op` for an exec."""

    def __init__(
        self,
        services: OpServices,
        loaded: LoadedOp,
        input_count: int,
        limits: Limits | None,
    ) -> None:
        self._services = services
        self._loaded = loaded
        self._exec = loaded.op.exec
        self._input_count = input_count
        self._resources = limits.resources if isinstance(limits, StepLimits) else Resources()
        self.usage: ResourceUsage | None = None
        """What its container used, if it ran and the machine can say."""
        self.capture = ProxyCapture() if loaded.proxied else None
        """What it asked of the web, if it had to ask us."""

    @property
    def _command(self) -> str:
        return " ".join(self._exec.meta.args)

    def cache_map(self, ctx: OpContext, index: int) -> CacheMap:
        map = exec_keys.cache_map(
            self._exec, self._loaded.platform, self._input_count, self._services.contents
        )
        return naming_op_in_errors(map, self._loaded.data)

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        try:
            async with self._services.turn(), AsyncExitStack() as stack:
                return await self._run(ctx, inputs, stack)
        except CrozeError as error:
            if not any(isinstance(detail, SolveDetail) for detail in error.details):
                detail = self._detail(ctx, self._shown(inputs), ())
                raise error.with_detail(detail) from error.__cause__
            raise

    def _detail(
        self, ctx: OpContext, shown: Sequence[Result | None], mount_ids: tuple[str, ...]
    ) -> SolveDetail:
        return SolveDetail(
            self._loaded.data,
            dict(ctx.vertex.description),
            input_ids=tuple(id_of(result) for result in shown),
            mount_ids=mount_ids,
        )

    def _shown(self, inputs: Sequence[Result]) -> list[Result | None]:
        """The input of every mount, None for those without."""
        return [None if m.input == EMPTY else inputs[m.input] for m in self._exec.mounts]

    async def _run(
        self, ctx: OpContext, inputs: Sequence[Result], stack: AsyncExitStack
    ) -> Sequence[Result]:
        sessions = ctx.sessions()
        states = [ref_of(r) for r in inputs]
        name = f"exec {self._command}"
        preparer = MountPreparer(self._services, stack, sessions, states, name, ctx)
        mounts = await preparer.prepare(self._exec.mounts)
        env = await secrets.environment(self._exec.secretenv, self._services.sessions, sessions)
        log = OpLog(ctx.progress, self._services.log_limits)
        try:
            with traced(ctx, "run container", {"process.command_args": list(self._exec.meta.args)}):
                await self._run_container(self._spec(mounts, ctx), self._process(ctx, env), log)
        except ExitError as error:
            log.flush()
            shown = self._shown(inputs)
            mount_ids = await keep_mounts(ctx, shown, mounts)
            raise error.with_detail(self._detail(ctx, shown, mount_ids)) from error.__cause__
        except Exception:
            log.flush()
            raise
        return await mounts.results()

    async def _run_container(self, spec: ContainerSpec, process: Process, log: OpLog) -> None:
        stdio = Stdio(log.stdout.write, log.stderr.write)
        try:
            code = await self._services.executor.run(spec, process, stdio)
        except StartError as error:
            # The runtime has written the reason to standard error itself.
            raise self._failed(START_FAILED, self._foreign(str(error))) from error
        except OutOfMemory as error:
            raise self._failed(137, "cannot allocate memory") from error
        except Canceled:
            raise
        except CrozeError as error:
            raise error.wrap(self._failure) from None
        finally:
            if self.capture is not None:
                log.stderr.write(self.capture.log().encode())
        if code not in (self._exec.meta.validExitCodes or (0,)):
            raise self._failed(code)

    def _foreign(self, reason: str) -> str:
        """Why the kernel did not know the executable's format, if that was the reason."""
        platform = self._loaded.platform
        if "exec format error" not in reason or platform == platforms.normalize(
            platforms.default_platform()
        ):
            return ""
        name = platforms.format(platform)
        return f"this machine can't run {name} programs; qemu-user with binfmt_misc would"

    @property
    def _failure(self) -> str:
        return f"process {quote(self._command)} did not complete successfully"

    def _failed(self, code: int, reason: str = "") -> ExitError:
        suffix = f": {reason}" if reason else ""
        return ExitError(f"{self._failure}: exit code: {code}{suffix}", code)

    def _process(self, ctx: OpContext, secret_env: Sequence[str]) -> Process:
        meta = self._exec.meta
        env = [*meta.env, *proxy_env(meta.proxy_env)]
        if not any(e.startswith("PATH=") for e in env):
            env.append(f"PATH={default_path(self._loaded.platform.os)}")
        return Process(
            args=[*([emulator.MOUNT] if self._emulator else []), *meta.args],
            env=[*env, *secret_env, *trace_env(ctx)],
            cwd=meta.cwd,
            user=meta.user,
        )

    def _spec(self, mounts: PreparedMounts, ctx: OpContext) -> ContainerSpec:
        meta = self._exec.meta
        network, insecure, devices = self._privileges()
        return ContainerSpec(
            root=mounts.root.mounts,
            mounts=[*mounts.container_mounts(meta.cwd), *self._emulator_mounts()],
            readonly_root=mounts.root.mount.readonly,
            hostname=meta.hostname or DEFAULT_HOSTNAME,
            network=network,
            insecure=insecure,
            extra_hosts=[extra_host(h) for h in meta.extraHosts],
            ulimits=[Rlimit(u.Name, u.Soft, u.Hard) for u in meta.ulimit],
            cgroup_parent=CgroupParent.parse(meta.cgroupParent),
            resources=self._resources,
            devices=devices,
            remove_mount_stubs=meta.removeMountStubsRecursive,
            proxied=self._proxied(ctx),
            on_usage=self._note_usage,
        )

    def _privileges(self) -> tuple[NetworkMode, bool, list[ContainerEdits]]:
        """Network, security and devices of the step. What can't be had fails as a process that
        can't be started does."""
        try:
            network = network_mode(self._exec.network)
            return network, is_insecure(self._exec.security), self._devices()
        except CrozeError as error:
            raise error.wrap(self._failure) from None

    def _proxied(self, ctx: OpContext) -> Proxied | None:
        if self.capture is None:
            return None
        return Proxied(tuple(ctx.job_values(PROXIED)), self.capture)

    def _note_usage(self, usage: ResourceUsage) -> None:
        self.usage = usage

    @property
    def _emulator(self) -> str:
        return emulator.find_emulator(self._loaded.platform, self._services.platforms)

    def _emulator_mounts(self) -> list[ContainerMount]:
        path = self._emulator
        mount = MountSpec("bind", path, ("bind", "ro"))
        return [ContainerMount(emulator.MOUNT, [mount], readonly=True)] if path else []

    def _devices(self) -> list[ContainerEdits]:
        lent = self._services.devices
        requests = self._exec.cdiDevices
        try:
            return edits(d for w in requests for d in lent.find(w.name, optional=w.optional))
        except NotFound as error:
            raise error.wrap("CDI device injection failed") from None


def network_mode(mode: int) -> NetworkMode:
    """The network that a step asks for. Raises `InvalidRequest` for a mode that is none."""
    network = NETWORKS.get(mode)
    if network is None:
        raise InvalidRequest(f"unknown network mode {mode}")
    return network


def is_insecure(mode: int) -> bool:
    """Whether a step's security mode is the one without a sandbox. Raises `InvalidRequest` for a
    mode that is none."""
    if mode not in (ops_pb2.SANDBOX, ops_pb2.INSECURE):
        raise InvalidRequest(f"invalid security mode {mode}")
    return mode == ops_pb2.INSECURE


def proxy_env(proxy: ops_pb2.ProxyEnv) -> list[str]:
    """The variables of proxy settings, each in upper and lower case. They are not part of the cache
    key."""
    values = {
        "HTTP_PROXY": proxy.http_proxy,
        "HTTPS_PROXY": proxy.https_proxy,
        "FTP_PROXY": proxy.ftp_proxy,
        "NO_PROXY": proxy.no_proxy,
        "ALL_PROXY": proxy.all_proxy,
    }
    return [f"{n}={v}" for name, v in values.items() if v for n in (name, name.lower())]


def extra_host(host: ops_pb2.HostIP) -> tuple[str, str]:
    """A name that containers resolve, and its address. Raises `InvalidRequest`."""
    try:
        return host.Host, str(ipaddress.ip_address(host.IP))
    except ValueError:
        raise InvalidRequest(f"failed to parse IP {host.IP}") from None
