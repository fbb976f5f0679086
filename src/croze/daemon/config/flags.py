"""`crozed`'s command line: buildkitd's flags, each with the key of `buildkitd.toml` that it sets.

That is how flags, the environment and the file combine: what the environment and the flags say is
laid over the file, in the order of this table, and read as one (`config.load`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Struct

from croze.daemon.config.sizes import Keep
from croze.errors import InvalidRequest
from croze.fs.userns import in_user_namespace
from croze.gotypes.argv import BadFlag
from croze.gotypes.booleans import parse_bool
from croze.gotypes.numbers import parse_int_literal
from croze.gotypes.quote import quote

ENTITLEMENTS = frozenset({"network.host", "security.insecure", "device"})
NOT_A_USER = (
    "rootless mode requires to be executed as the mapped root in a user namespace; start crozed as"
    " an ordinary user, or with RootlessKit"
)

N = TypeVar("N", int, float)
Setting = tuple[str, object]
"""A key of the file, with dots, and its value."""
Sets = Callable[[str, Sequence[str]], Sequence[Setting]]
"""From a flag's name and the values it was given to the settings that follow."""


class Flag(Struct, frozen=True):
    """A flag of `crozed`. `sets` says which keys follow from the values it was given."""

    name: str
    help: str
    sets: Sets = lambda name, values: ()
    switch: bool = False
    env: str = ""
    refused: str = ""
    """Why it can't be honoured, whatever its value."""
    hidden: bool = False


def text(key: str) -> Sets:
    """Sets a key to the last value given."""
    return lambda name, values: [(key, values[-1])]


def each(key: str) -> Sets:
    """Sets a key to the list of all values given."""
    return lambda name, values: [(key, list(values))]


def switch(key: str) -> Sets:
    """Sets a key to true or false, as the grammar has read it."""
    return lambda name, values: [(key, values[-1] == "true")]


def number(key: str) -> Sets:
    """A flag with a whole number, in Go's notation (`0x10`, `1_000`)."""

    def sets(name: str, values: Sequence[str]) -> Sequence[Setting]:
        try:
            return [(key, parse_int_literal(values[-1]))]
        except InvalidRequest as error:
            raise BadFlag(f"invalid value {quote(values[-1])} for flag -{name}: {error}") from None

    return sets


def tristate(key: str) -> Sets:
    """Sets a key to true or false; `auto` leaves it to the daemon."""

    def sets(name: str, values: Sequence[str]) -> Sequence[Setting]:
        if values[-1].lower() in ("", "auto"):
            return []
        value = parse_bool(values[-1])
        if value is None:
            raise InvalidRequest(f"invalid value {quote(values[-1])} for flag -{name}: parse error")
        return [(key, value)]

    return sets


def labels(key: str) -> Sets:
    """A flag of `KEY=VALUE`, which may be repeated."""

    def sets(name: str, values: Sequence[str]) -> Sequence[Setting]:
        if wrong := [value for value in values if "=" not in value]:
            raise InvalidRequest(f"invalid value {wrong[0]} for flag -{name}: use KEY=VALUE")
        return [(key, dict(value.split("=", 1) for value in values))]

    return sets


def level(level: str) -> Sets:
    """Sets the log level, if the switch is on."""
    return lambda name, values: [("log.level", level)] if values[-1] == "true" else []


def keep(worker: str) -> Sets:
    """A flag with the space that garbage collection leaves a worker: see `Keep`."""

    def sets(name: str, values: Sequence[str]) -> Sequence[Setting]:
        space = Keep.parse(values[-1])
        limits = {
            "reservedSpace": space.reserved,
            "minFreeSpace": space.free or 0,
            "maxUsedSpace": space.maximum or 0,
        }
        return [(f"{worker}.{key}", size) for key, size in limits.items()]

    return sets


def group(name: str, values: Sequence[str]) -> Sequence[Setting]:
    """A flag with the name or number of the group that sockets belong to."""
    return [("grpc.gid", group_id(name, values[-1]))] if values[-1] else []


def entitlements(name: str, values: Sequence[str]) -> Sequence[Setting]:
    """A flag with the entitlements that clients may grant, which may be repeated."""
    for value in values:
        if value not in ENTITLEMENTS:
            raise InvalidRequest(f"invalid entitlement : {value}")
    return [("insecure-entitlements", list(values))]


def rootless_worker(name: str, values: Sequence[str]) -> Sequence[Setting]:
    """The flag that only root of a user namespace may set."""
    if not in_user_namespace():
        raise InvalidRequest(NOT_A_USER)
    return switch("worker.oci.rootless")(name, values)


def group_id(flag: str, name: str) -> int:
    """The number of a group that a flag names. Raises `InvalidRequest`, which names the flag."""
    import grp

    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise InvalidRequest(f"{flag}: unknown group {name}") from None


def number_of(flag: str, text: str, read: Callable[[str], N], least: N) -> N:
    """The number that a flag has, no less than `least`. Raises `InvalidRequest`, which names the
    flag."""
    try:
        value = read(text)
    except InvalidRequest as error:
        raise error.wrap(f"invalid value {quote(text)} for flag -{flag}") from None
    if not value >= least:
        raise InvalidRequest(f"invalid value {quote(text)} for flag -{flag}: less than {least}")
    return value


_CONTAINERD = "worker.containerd"
_OCI = "worker.oci"
_WINDOWS = "it is for a Windows service"

FLAGS = (
    Flag("rootless", "use defaults fit for an ordinary user", switch(f"{_OCI}.rootless"), True),
    Flag("config", "path to config file"),
    Flag("debug", "enable debug output in logs", level("debug"), True),
    Flag("trace", "the same as --log-level=trace", level("trace"), True, hidden=True),
    Flag("root", "path to state directory", text("root")),
    Flag("addr", "listening address: unix://, tcp:// or fd:// (repeatable)", each("grpc.address")),
    Flag(
        "docker-api",
        "serve Docker's API there, too: unix:///path/docker.sock, fd://NAME, or tcp:// by TLS",
    ),
    Flag("docker-api-group", "group (name or gid) owning the socket of Docker's API"),
    Flag("log-format", "json or text", text("log.format")),
    Flag("log-level", "trace, debug, info, warn…", text("log.level"), env="BUILDKITD_LOG_LEVEL"),
    Flag("group", "group (name or gid) owning Unix sockets", group),
    Flag(
        "debugaddr",
        "address for debugging, such as 0.0.0.0:6060",
        text("grpc.debugAddress"),
        env="BUILDKITD_DEBUGADDR",
    ),
    Flag("tlscert", "certificate file to use", text("grpc.tls.cert")),
    Flag("tlskey", "key file to use", text("grpc.tls.key")),
    Flag("tlscacert", "ca certificate to verify clients", text("grpc.tls.ca")),
    Flag(
        "allow-insecure-entitlement",
        "network.host, security.insecure or device (repeatable)",
        entitlements,
    ),
    Flag(
        "proxy-network",
        "send what steps ask of the web through a proxy of the daemon's",
        switch("proxyNetwork"),
        True,
    ),
    Flag("otel-socket-path", "OTEL collector trace socket path", text("otel.socketPath")),
    Flag("cdi-disabled", "lend no devices (CDI)", switch("cdi.disabled"), True),
    Flag("cdi-spec-dir", "folder of CDI spec files (repeatable)", each("cdi.specDirs")),
    Flag(
        "save-cache-debug",
        "keep what cache keys are made of, for /debug/cache of the debug address",
        switch=True,
    ),
    Flag("oci-worker", "true, false or auto", tristate(f"{_OCI}.enabled")),
    Flag("oci-worker-labels", "label KEY=VALUE (repeatable)", labels(f"{_OCI}.labels")),
    Flag(
        "oci-worker-snapshotter",
        "auto, overlayfs or native",
        text(f"{_OCI}.snapshotter"),
    ),
    Flag(
        "oci-worker-proxy-snapshotter-path",
        "refused",
        text(f"{_OCI}.proxySnapshotterPath"),
        hidden=True,
    ),
    Flag("oci-worker-platform", "platform to offer (repeatable)", each(f"{_OCI}.platforms")),
    Flag("oci-worker-net", "network of containers", text(f"{_OCI}.networkMode")),
    Flag("oci-cni-config-path", "path of CNI config file", text(f"{_OCI}.cniConfigPath")),
    Flag("oci-cni-binary-dir", "path of CNI binaries", text(f"{_OCI}.cniBinaryPath")),
    Flag("oci-cni-pool-size", "networks kept ready", number(f"{_OCI}.cniPoolSize")),
    Flag("oci-worker-binary", "OCI runtime: crun or runc", text(f"{_OCI}.binary")),
    Flag(
        "oci-worker-apparmor-profile",
        "AppArmor profile of containers",
        text(f"{_OCI}.apparmor-profile"),
    ),
    Flag("oci-worker-selinux", "refused", switch(f"{_OCI}.selinux"), True, hidden=True),
    Flag("oci-max-parallelism", "steps at the same time", number(f"{_OCI}.max-parallelism")),
    Flag("oci-worker-rootless", "the same as --rootless", rootless_worker, True),
    Flag(
        "oci-worker-no-process-sandbox",
        "use the host's PID namespace and procfs (WARNING: build containers can then kill, and"
        " may ptrace, any process there)",
        switch(f"{_OCI}.noProcessSandbox"),
        True,
    ),
    Flag("oci-worker-gc", "collect garbage", switch(f"{_OCI}.gc"), True),
    Flag(
        "oci-worker-gc-keepstorage",
        "what garbage collection leaves, in MB: Reserved[,Free[,Maximum]]",
        keep(_OCI),
    ),
    *(
        Flag(f"containerd-{name}", "no effect: there is no containerd worker", sets, hidden=True)
        for name, sets in (
            ("worker", tristate(f"{_CONTAINERD}.enabled")),
            ("worker-addr", text(f"{_CONTAINERD}.address")),
            ("worker-labels", labels(f"{_CONTAINERD}.labels")),
            ("worker-platform", each(f"{_CONTAINERD}.platforms")),
            ("worker-namespace", text(f"{_CONTAINERD}.namespace")),
            ("worker-runtime", text(f"{_CONTAINERD}.runtime.name")),
            ("worker-net", text(f"{_CONTAINERD}.networkMode")),
            ("worker-snapshotter", text(f"{_CONTAINERD}.snapshotter")),
            ("worker-apparmor-profile", text(f"{_CONTAINERD}.apparmor-profile")),
            ("worker-gc-keepstorage", keep(_CONTAINERD)),
            ("cni-config-path", text(f"{_CONTAINERD}.cniConfigPath")),
            ("cni-binary-dir", text(f"{_CONTAINERD}.cniBinaryPath")),
            ("cni-pool-size", number(f"{_CONTAINERD}.cniPoolSize")),
            ("max-parallelism", number(f"{_CONTAINERD}.max-parallelism")),
        )
    ),
    *(
        Flag(f"containerd-worker-{name}", "no effect", switch(f"{_CONTAINERD}.{name}"), True)
        for name in ("selinux", "rootless", "gc")
    ),
    *(
        Flag(name, "refused", switch=name.endswith("service"), refused=_WINDOWS, hidden=True)
        for name in (
            *("service-name", "log-file"),
            *("register-service", "unregister-service", "run-service"),
        )
    ),
    Flag("idle-timeout", "exit after so many seconds unused"),
    Flag("ready-fd", "write a byte here when ready"),
    Flag("file-workers", "processes for file work"),
)
