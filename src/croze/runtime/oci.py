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
import functools
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from croze.aio.threads import finish, in_thread, start_in_thread
from croze.errors import InvalidRequest
from croze.fs.owner import lookup
from croze.runtime import config_file, oci_spec, restrict, seccomp, sweep
from croze.runtime import host as host_facts
from croze.runtime.cgroup_parent import CgroupParent
from croze.runtime.cgroups import stir
from croze.runtime.container import OciContainer
from croze.runtime.contract import ContainerSpec, NetworkMode, Process, Stdio
from croze.runtime.errors import StartError
from croze.runtime.etc_files import DnsConfig, EtcFiles
from croze.runtime.mounts import OciBundle, Stubs, mount_tmpfs
from croze.runtime.networks.provider import NetworkProvider, default_networks
from croze.runtime.oci_spec import Namespace, Placement
from croze.runtime.program import RuntimeProgram
from croze.runtime.proxied import Proxied
from croze.runtime.proxy.network import ProxyNetworks
from croze.runtime.proxy.trust import Trust
from croze.runtime.usage import UsageMeter
from croze.runtime.workdir import make_workdir

log = logging.getLogger(__name__)


class OciConfig(Struct, frozen=True):
    """How containers are run. `binary` empty chooses crun, else runc. `state_dir` is best on a
    tmpfs. `private_mounts` says that this process has a mount namespace of its own, which may be
    arranged as crun needs it."""

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


class _Place(Struct, frozen=True):
    """What one container is put into. `authority`: what it is to trust, as PEM."""

    network: Namespace
    shares_host: bool = False
    env: Sequence[str] = ()
    authority: bytes = b""
    cgroup: str = ""


class OciExecutor:
    """`Executor` on crun or runc."""

    def __init__(self, config: OciConfig, host: host_facts.Host | None = None) -> None:
        if config.private_mounts:
            host_facts.hide_hybrid_cgroup()
        self.config = config
        self.host = host or host_facts.detect()
        if config.rootless:
            self.host = replace(self.host, cgroup="none")
        self._bundles = config.state_dir / "bundle"
        self._runtime_root = config.state_dir / "run"
        self.pids = config.state_dir / "pid"
        for folder in (self._bundles, self._runtime_root, self.pids):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if config.private_mounts:
            for leftover in self._bundles.iterdir():  # hidden below, it would never be found
                sweep.remove_bundle(leftover)
            for folder in (self._bundles, self._runtime_root):
                mount_tmpfs(folder)
        self.program = RuntimeProgram(
            config.binary, self._runtime_root, self.pids, rootless=config.rootless
        )
        self._containers: dict[str, OciContainer] = {}
        self._proxies = ProxyNetworks(config.state_dir / "proxy")
        self._etc = EtcFiles(config.state_dir, config.dns)

    @functools.cached_property
    def _bpf(self) -> str:
        """The filter of system calls, compiled once."""
        if not self.program.is_crun or not self.host.seccomp:
            return ""
        caps = frozenset(oci_spec.DEFAULT_CAPABILITIES)
        program = seccomp.compile_bpf(self.host.arch, caps, self.host.kernel)
        return base64.b64encode(program).decode() if program else ""

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
            if spec.proxied is not None:
                place = await self._enter_proxied(stack, id, spec.proxied, provider)
                process = replace(process, env=[*process.env, *place.env])
            else:
                network = await stack.enter_async_context(provider.open(id, spec.hostname))
                place = _Place(network, provider.shares_host)
            container = OciContainer(
                self.program, self.host, id, OciBundle(self._bundles / id), spec
            )
            cgroup = self._cgroup_parent(spec).path(id)
            stack.push_async_callback(in_thread, self._clear_away, container, cgroup)
            meter = self._meter(stack, spec, cgroup, place.network.interface)
            place = replace(place, cgroup=meter.inner if meter is not None else cgroup)
            try:
                await in_thread(self._prepare, container, process, place)
            except StartError as error:
                # As a runtime would: who reads the step's output learns why there is none.
                stdio.stderr(f"{error}\n".encode())
                raise
            self._containers[id] = container
            stack.callback(self._containers.pop, id)
            stack.push_async_callback(lambda: finish(container.close()))
            container.launch(process, stdio)
            if meter is not None:
                meter.start()
            yield container

    async def _enter_proxied(
        self, stack: AsyncExitStack, id: str, proxied: Proxied, provider: NetworkProvider
    ) -> _Place:
        outside = await stack.enter_async_context(provider.open(id, ""))
        place = await stack.enter_async_context(self._proxies.open(id, proxied, outside))
        return _Place(place.namespace, env=place.env, authority=place.authority)

    def _cgroup_parent(self, spec: ContainerSpec) -> CgroupParent:
        return spec.cgroup_parent if spec.cgroup_parent.text else self.config.cgroup_parent

    def _meter(
        self, stack: AsyncExitStack, spec: ContainerSpec, cgroup: str, interface: str
    ) -> UsageMeter | None:
        """A meter of what a container uses, if somebody wants to know and the machine tells."""
        tell = spec.on_usage
        if tell is None or self.host.cgroup != "v2":
            return None
        meter = UsageMeter(cgroup, interface=interface)

        async def finish_meter() -> None:
            tell(await in_thread(meter.finish))

        stack.push_async_callback(finish_meter)
        stack.callback(meter.stop)
        return meter

    def _clear_away(self, container: OciContainer, cgroup: str) -> None:
        """Nothing is left of a container that has ended, whatever goes wrong with a part."""
        with ExitStack() as stack:
            if not container.succeeded:  # else the runtime has removed it
                stack.callback(sweep.remove_cgroup, cgroup)
            stack.callback(container.bundle.close)
            stack.callback((self.pids / container.id).unlink, missing_ok=True)
            container.remove_stubs()

    def _prepare(self, container: OciContainer, process: Process, place: _Place) -> None:
        """Everything on disk that the runtime needs: in a thread."""
        spec, bundle = container.spec, container.bundle
        bundle.mount_root(spec.root)
        user = lookup(str(bundle.rootfs), process.user)
        mounts = [oci for mount in spec.mounts for oci in bundle.add(mount)]
        container.stubs = Stubs(
            bundle.rootfs, [m.dest for m in mounts], recursive=spec.remove_mount_stubs
        )
        if place.authority:
            container.trust = Trust(str(bundle.rootfs), place.authority)
            container.trust.add()
        make_workdir(bundle.rootfs, process.cwd, user)
        trace = self.config.trace_socket if spec.traced else None
        placement = Placement(
            id=container.id,
            rootfs=str(bundle.rootfs),
            user=user,
            mounts=mounts,
            network=place.network,
            hosts_file=self._etc.hosts(bundle.path, spec.hostname, spec.extra_hosts),
            resolv_file=self._etc.resolv(shares_host=place.shares_host),
            cgroup=place.cgroup,
            trace_socket=str(trace) if trace is not None and trace.exists() else "",
            bpf=self._bpf,
        )
        config = self._confined(oci_spec.config_json(spec, process, placement, self.host), spec)
        config_file.write(bundle.path / "config.json", config)

    def _confined(self, config: oci_spec.Json, spec: ContainerSpec) -> oci_spec.Json:
        """The configuration, restricted as the daemon's own means and settings have it."""
        if self.config.apparmor_profile and not spec.insecure:
            config = restrict.apparmor(config, self.config.apparmor_profile)
        if self.config.rootless:
            config = restrict.rootless(config)
        return config if self.config.process_sandbox else restrict.without_process_sandbox(config)

    async def sweep(self) -> None:
        """Remove, at start, what a killed daemon left: containers, mounts, cgroups, bundles."""
        for id in sweep.leftovers(self.pids, self._bundles, self._runtime_root):
            log.debug("removing container %s of an earlier run", id)
            await in_thread(sweep.kill_init, self.pids / id)
            if self.program.knows(id):
                await self.program.delete(id)
            await in_thread(sweep.remove_bundle, self._bundles / id)
            (self.pids / id).unlink(missing_ok=True)
            path = self.config.cgroup_parent.path(id)
            await in_thread(sweep.remove_cgroup, path)
