"""What `POST /containers/create` asks for. Pure: what is not served is refused by its name.

Source: Docker Engine API, `ContainerCreate`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

import msgspec

from croze.engineapi.containers import mounts
from croze.engineapi.containers.execs import ExecCreate
from croze.engineapi.containers.mounts import MountRequest
from croze.engineapi.extra_hosts import address_of
from croze.engineapi.jsontext import named, read_json, struct_of
from croze.errors import InvalidRequest, Unsupported
from croze.image.config import DEFAULT_PATH, RunConfig
from croze.runtime.contract import (
    ContainerMount,
    NetworkMode,
    Process,
    Resources,
    Rlimit,
)

Words = str | list[str] | None
NETWORKS: Mapping[str, NetworkMode] = {
    "": "sandbox",
    "default": "sandbox",
    "bridge": "sandbox",
    "host": "host",
    "none": "none",
}
NEUTRAL: Mapping[str, Sequence[object]] = {
    "IpcMode": ("private", "shareable"),
    "CgroupnsMode": ("private",),
    "Cgroup": ("",),
    "Isolation": ("default",),
    "Runtime": ("runc", "crun"),
    "MemorySwappiness": (-1,),
    "ShmSize": (64 << 20,),
    "RestartPolicy": ({"Name": "no"},),
    "LogConfig": ({"Type": "json-file"},),
}
"""Values that ask for nothing that is not so anyway."""
IGNORED = frozenset({"ConsoleSize", "ContainerIDFile"})
ENDPOINT = ("IPAMConfig", "Links", "Aliases", "MacAddress", "DriverOpts", "GwPriority")
"""Settings of a container in a network; the others are answers."""
HIDDEN = ("MaskedPaths", "ReadonlyPaths")
"""An empty list of these is a wish, too: for nothing to be hidden."""
LEAST_MEMORY_BYTES = 6 << 20
REFUSED = ("Healthcheck", "MacAddress", "Domainname")


class Limit(msgspec.Struct, rename="pascal"):
    """An entry of `Ulimits`, named as by ulimit: `nofile`."""

    name: str
    soft: int
    hard: int


class HostConfig(msgspec.Struct, rename="pascal"):
    """The member `HostConfig`, as far as it is served. Memory is in bytes, CPU periods and quotas
    in microseconds."""

    binds: list[str] | None = None
    mounts: list[MountRequest] | None = None
    tmpfs: dict[str, str] | None = None
    network_mode: str = ""
    auto_remove: bool = False
    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    nano_cpus: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    ulimits: list[Limit] | None = None
    extra_hosts: list[str] | None = None
    readonly_rootfs: bool = False
    pids_limit: int | None = None
    # What is so anyway, as it was asked for: see NEUTRAL.
    ipc_mode: str = ""
    cgroupns_mode: str = ""
    isolation: str = ""
    runtime: str = ""
    memory_swappiness: int | None = None


class Create(msgspec.Struct, rename="pascal"):
    """The body of `POST /containers/create`, as far as it is served."""

    image: str = ""
    hostname: str = ""
    user: str = ""
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    env: list[str] | None = None
    cmd: Words = None
    entrypoint: Words = None
    working_dir: str = ""
    stop_signal: str = ""
    stop_timeout: int | None = None
    network_disabled: bool = False
    volumes: dict[str, object] | None = None
    exposed_ports: dict[str, object] | None = None
    labels_: dict[str, str] | None = msgspec.field(name="Labels", default=None)
    host_config: HostConfig = msgspec.field(default_factory=HostConfig)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.labels_ or {}


def read(data: bytes) -> Create:
    """What the body of `POST /containers/create` asks for. Raises `InvalidRequest`, and
    `Unsupported` by name."""
    top = (*_names(Create), *REFUSED, "NetworkingConfig")
    raw = named(read_json(data, dict[str, object]), top)
    host = raw.get("HostConfig") or {}
    if not isinstance(host, dict):
        raise InvalidRequest("invalid HostConfig")
    host = raw["HostConfig"] = named(host, (*_names(HostConfig), *NEUTRAL, *IGNORED, *HIDDEN))
    spec = struct_of(raw, Create)
    served = frozenset(_names(HostConfig)) - NEUTRAL.keys()
    for name, value in host.items():
        # The members of NEUTRAL have names of their own; those of others are what is asked for.
        members = _said(value) if name in NEUTRAL else value
        if name not in served | IGNORED and members and members not in NEUTRAL.get(name, ()):
            raise Unsupported(f"HostConfig.{name} is not served here")
        if name in HIDDEN and value is not None:
            raise Unsupported(f"HostConfig.{name} is not served here")
    for name in REFUSED:
        if raw.get(name):
            raise Unsupported(f"{name} of a container is not served here")
    _check_networks(raw, spec)
    if 0 < spec.host_config.memory < LEAST_MEMORY_BYTES:
        raise InvalidRequest("Minimum memory limit allowed is 6MB")
    if (cwd := spec.working_dir) and not cwd.startswith("/"):
        raise InvalidRequest(
            f"the working directory '{cwd}' is invalid, it needs to be an absolute path"
        )
    binds(spec)
    return spec


def _names(kind: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _said(value: object) -> object:
    """A value without the members that say nothing."""
    if isinstance(value, dict):
        return {k: member for k, v in value.items() if (member := _said(v))}
    return value


def _check_networks(raw: Mapping[str, object], spec: Create) -> None:
    if spec.host_config.network_mode not in NETWORKS:
        raise Unsupported(
            f"network {spec.host_config.network_mode} is not served here: use host or none"
        )
    networking = raw.get("NetworkingConfig") or {}
    endpoints = networking.get("EndpointsConfig") if isinstance(networking, dict) else None
    for name, endpoint in endpoints.items() if isinstance(endpoints, dict) else ():
        if name not in NETWORKS:
            raise Unsupported(f"network {name} is not served here: use host or none")
        settings = _said(named(endpoint, ENDPOINT) if isinstance(endpoint, dict) else {})
        for setting in ENDPOINT:
            if isinstance(settings, dict) and settings.get(setting):
                raise Unsupported(f"{setting} of the network {name} is not served here")


def network(spec: Create) -> NetworkMode:
    return "none" if spec.network_disabled else NETWORKS[spec.host_config.network_mode]


def binds(spec: Create) -> list[ContainerMount]:
    """Directories and files of the host. Raises `Unsupported` for volumes."""
    host = spec.host_config
    entries = [mounts.of_request(each) for each in host.mounts or () if each.type != "tmpfs"]
    listed = [*(mounts.of_bind(text) for text in host.binds or ()), *entries]
    covered = {mount.dest for mount in [*listed, *tmpfs(spec)]}
    for path in spec.volumes or {}:
        if posixpath.normpath(path) not in covered:
            raise Unsupported(f"volume {path} is not served here: use a directory of the host")
    return listed


def tmpfs(spec: Create) -> list[ContainerMount]:
    """Mounts in memory, which go when the process ends. Raises `InvalidRequest`."""
    host = spec.host_config
    entries = [mounts.of_request(each) for each in host.mounts or () if each.type == "tmpfs"]
    return [*mounts.of_tmpfs_map(host.tmpfs or {}), *entries]


def made_sources(spec: Create) -> list[str]:
    """Directories of the host that are made when they are missing."""
    host = spec.host_config
    texts = [mounts.of_bind(text).mounts[0].source for text in host.binds or ()]
    return texts + [each.source for each in host.mounts or () if each.makes_source]


def needed_sources(spec: Create) -> list[str]:
    """Paths of the host that have to be there."""
    directories = made_sources(spec)
    sources = [each.mounts[0].source for each in binds(spec)]
    return [source for source in sources if source not in directories]


def resources(spec: Create) -> Resources:
    """The limits of a container; `NanoCpus` is a quota of a period, of 0.1 s unless another is
    given."""
    host = spec.host_config
    quota, period = host.cpu_quota, host.cpu_period
    if host.nano_cpus:
        period = period or 100_000
        quota = host.nano_cpus * period // 10**9
    return Resources(
        memory=host.memory,
        memory_swap=host.memory_swap,
        memory_reservation=host.memory_reservation,
        cpu_shares=host.cpu_shares,
        cpu_period=period,
        cpu_quota=quota,
        cpuset_cpus=host.cpuset_cpus,
        cpuset_mems=host.cpuset_mems,
        pids=max(0, host.pids_limit or 0),
    )


def ulimits(spec: Create) -> list[Rlimit]:
    return [Rlimit(each.name, each.soft, each.hard) for each in spec.host_config.ulimits or ()]


def extra_hosts(spec: Create, host_gateway: str = "") -> list[tuple[str, str]]:
    """The (name, address) pairs of `ExtraHosts`; `host_gateway` is what that name stands for.
    Raises `InvalidRequest`."""
    hosts: list[tuple[str, str]] = []
    for text in spec.host_config.extra_hosts or ():
        name, colon, address = text.partition(":")
        if not (name and colon and address):
            raise InvalidRequest(f'bad format for add-host: "{text}"')
        hosts.append((name, address_of(address, host_gateway)))
    return hosts


def words(value: Words) -> list[str]:
    return [value] if isinstance(value, str) and value else list(value or ())


def process_of(spec: Create, image: RunConfig, hostname: str = "") -> Process:
    """The image's settings with the container's on top. Raises `InvalidRequest` without a
    command."""
    entrypoint = words(spec.entrypoint)
    command = words(spec.cmd)
    if not entrypoint:  # of an empty one the image's command is left
        entrypoint = list(image.entrypoint) if spec.entrypoint is None else []
        command = command or list(image.cmd)
    elif entrypoint == [""]:
        entrypoint = []
    if not (args := [*entrypoint, *command]):
        raise InvalidRequest("No command specified")
    return Process(
        args=args,
        env=environment(spec, image, hostname, tty=spec.tty),
        cwd=spec.working_dir or image.working_dir or "/",
        user=spec.user or image.user,
        tty=spec.tty,
    )


def process_in(spec: Create, image: RunConfig, exec_spec: ExecCreate, hostname: str) -> Process:
    """The process that an exec asks for, in a container with this specification."""
    return Process(
        args=exec_spec.cmd,
        env=environment(spec, image, hostname, more=exec_spec.env, tty=exec_spec.tty),
        cwd=exec_spec.working_dir or spec.working_dir or image.working_dir or "/",
        user=exec_spec.user or spec.user or image.user,
        tty=exec_spec.tty,
    )


def environment(
    spec: Create,
    image: RunConfig,
    hostname: str = "",
    *,
    more: Sequence[str] = (),
    tty: bool = False,
) -> list[str]:
    """The process's variables; later ones win, and a name without `=` takes the variable away."""
    merged = {"PATH": DEFAULT_PATH}
    merged |= {"HOSTNAME": hostname} if hostname else {}
    merged |= {"TERM": "xterm"} if tty else {}
    for pair in (*image.env, *(spec.env or ()), *more):
        name, equals, value = pair.partition("=")
        if equals:
            merged[name] = value
        else:
            merged.pop(name, None)
    return [f"{name}={value}" for name, value in merged.items()]


def shown_environment(spec: Create, image: RunConfig) -> list[str]:
    """The variables as `inspect` shows them: a name without `=` is shown, and takes the variable
    away."""
    shown = {"PATH": f"PATH={DEFAULT_PATH}"}
    for pair in (*image.env, *(spec.env or ())):
        shown[pair.partition("=")[0]] = pair
    return list(shown.values())
