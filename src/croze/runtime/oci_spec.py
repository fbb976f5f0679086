"""What a container is → the `config.json` that makes an OCI runtime run it.

Format: OCI runtime-spec (`config.md`, `config-linux.md`). The defaults (capabilities, masked paths,
mounts, limits) are BuildKit's, so that a step sees the same sandbox. Pure: everything that has to
be looked up on the machine comes in as a value.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from croze.fs.owner import ExecUser
from croze.runtime import cdi_edits, seccomp
from croze.runtime.contract import ContainerSpec, Process, Resources, Rlimit
from croze.runtime.host import Host

log = logging.getLogger(__name__)

_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP "
    "NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
)
DEFAULT_CAPABILITIES = tuple("CAP_" + name for name in _CAPABILITIES.split())
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/proc/scsi",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
CRUN_BPF_ANNOTATION = "run.oci.seccomp_bpf_data"
RUNTIME_ANNOTATIONS = "run.oci."

# path, type, major, minor: what a privileged step finds beside the usual devices
INSECURE_DEVICES = (
    ("/dev/kmsg", 1, 11),
    ("/dev/cuse", 10, 203),
    ("/dev/fuse", 10, 229),
    ("/dev/kvm", 10, 232),
    ("/dev/net/tun", 10, 200),
    ("/dev/loop-control", 10, 237),
)
SPARE_LOOP_DEVICES = 8

Json = dict[str, Any]


class OciMount(Struct, frozen=True):
    """An entry of `mounts`."""

    dest: str
    type: str
    source: str
    options: tuple[str, ...] = ()

    def json(self) -> Json:
        return {
            "destination": self.dest,
            "type": self.type,
            "source": self.source,
            "options": list(self.options),
        }


BASE_MOUNTS = (
    OciMount("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    OciMount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    OciMount(
        "/dev/pts",
        "devpts",
        "devpts",
        ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    ),
    OciMount("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
    OciMount("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    OciMount("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
)
CGROUP_MOUNT = OciMount("/sys/fs/cgroup", "cgroup", "cgroup", ("ro", "nosuid", "noexec", "nodev"))
TRACE_SOCKET = "/dev/otel-grpc.sock"
TRACE_ENV = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"unix://{TRACE_SOCKET}",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
}
"""How programs in containers send spans to the daemon."""
FILE_BIND = ("nosuid", "noexec", "nodev", "rbind", "ro")


class Namespace(Struct, frozen=True):
    """The network a container is in: the host's, a fresh one, or the one at `path`. `interface`:
    the host's, if one alone leads there."""

    host: bool = True
    path: str = ""
    interface: str = ""


class Placement(Struct, frozen=True):
    """All that was looked up for one container."""

    id: str
    rootfs: str
    user: ExecUser
    mounts: Sequence[OciMount] = ()
    network: Namespace = field(default_factory=Namespace)
    hosts_file: str = ""
    resolv_file: str = ""
    cgroup: str = ""
    """Its path below the hierarchies' roots."""
    trace_socket: str = ""
    """The socket of the daemon's collector of spans; empty for none."""
    bpf: str = ""
    """The seccomp filter compiled and base64 encoded, for crun; empty to let the runtime do it."""


def rlimits(ulimits: Iterable[Rlimit], host: Host) -> list[Json]:
    """Limits as asked for, lowered to what this process may set."""
    out = []
    for limit in ulimits:
        soft, hard = limit.soft, limit.hard
        ceiling = host.hard_limits.get(limit.name.upper(), -1)
        if ceiling != -1 and not host.may_raise_limits() and (hard > ceiling or hard == -1):
            log.debug("ulimit %s=%d is over our own %d, lowered", limit.name, hard, ceiling)
            hard = ceiling
            soft = ceiling if soft == -1 else min(soft, ceiling)
        out.append({"type": f"RLIMIT_{limit.name.upper()}", "soft": _u64(soft), "hard": _u64(hard)})
    return out


def _u64(value: int) -> int:
    return value & 0xFFFF_FFFF_FFFF_FFFF


def capabilities(insecure: bool, host: Host) -> Json:
    """The five sets of capabilities in `process.capabilities`."""
    if insecure:
        everything = sorted(host.capabilities | set(DEFAULT_CAPABILITIES))
        sets = ("bounding", "ambient", "effective", "inheritable", "permitted")
        return dict.fromkeys(sets, everything)
    return {name: list(DEFAULT_CAPABILITIES) for name in ("bounding", "effective", "permitted")}


def process_json(process: Process, user: ExecUser, spec: ContainerSpec, host: Host) -> Json:
    """The `process` object: also what `exec` takes."""
    groups = list(user.groups)
    if user.gid not in groups:
        groups.insert(0, user.gid)
    out: Json = {
        "terminal": process.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": groups},
        "args": list(process.args),
        "env": list(process.env),
        "cwd": process.cwd,
        "capabilities": capabilities(spec.insecure, host),
        "noNewPrivileges": False,
    }
    if spec.ulimits:
        out["rlimits"] = rlimits(spec.ulimits, host)
    return out


def _resources(resources: Resources, insecure: bool) -> Json:
    if insecure:
        devices = [{"allow": True, "type": t, "access": "rwm"} for t in ("c", "b")]
    else:
        devices = [{"allow": False, "access": "rwm"}]
    out: Json = {"devices": devices}
    memory = {
        "limit": resources.memory,
        "swap": resources.memory_swap,
        "reservation": resources.memory_reservation,
    }
    cpu = {
        "shares": resources.cpu_shares,
        "period": resources.cpu_period,
        "quota": resources.cpu_quota,
        "cpus": resources.cpuset_cpus,
        "mems": resources.cpuset_mems,
    }
    for name, values in (("memory", memory), ("cpu", cpu), ("pids", {"limit": resources.pids})):
        if limits := {k: v for k, v in values.items() if v}:
            out[name] = limits
    return out


def insecure_devices(host: Host) -> list[Json]:
    """Devices of `security.insecure` as `linux.devices` entries (OCI runtime-spec,
    config-linux.md): the host's, and loop devices up to some that are free."""
    chars = [
        {"path": path, "type": "c", "major": major, "minor": minor}
        for path, major, minor in INSECURE_DEVICES
    ]
    loops = [
        {"path": f"/dev/loop{i}", "type": "b", "major": 7, "minor": i}
        for i in range(host.free_loop + SPARE_LOOP_DEVICES)
    ]
    return chars + loops


def _namespaces(network: Namespace, host: Host) -> list[Json]:
    out: list[Json] = [{"type": name} for name in ("pid", "ipc", "uts", "mount")]
    if network.path:
        out.append({"type": "network", "path": network.path})
    elif not network.host:
        out.append({"type": "network"})
    if host.cgroup == "v2":
        out.append({"type": "cgroup"})
    return out


def _writable(mount: OciMount) -> OciMount:
    options = tuple("rw" if o == "ro" else o for o in mount.options)
    return OciMount(mount.dest, mount.type, mount.source, options)


def all_mounts(spec: ContainerSpec, placement: Placement, host: Host) -> list[OciMount]:
    """The sandbox's own mounts and the asked ones; the last for a destination takes the place of
    the first."""
    mounts = list(BASE_MOUNTS)
    if placement.resolv_file:
        mounts.append(OciMount("/etc/resolv.conf", "bind", placement.resolv_file, FILE_BIND))
    if placement.hosts_file:
        mounts.append(OciMount("/etc/hosts", "bind", placement.hosts_file, FILE_BIND))
    if host.cgroup != "none":
        mounts.append(CGROUP_MOUNT)
    if spec.insecure:
        mounts = [_writable(m) if m.type in ("sysfs", "cgroup") else m for m in mounts]
    if placement.trace_socket:
        mounts.append(OciMount(TRACE_SOCKET, "bind", placement.trace_socket, ("rbind", "ro")))
    mounts += placement.mounts
    return list({m.dest: m for m in mounts}.values())


def _linux(spec: ContainerSpec, placement: Placement, host: Host) -> Json:
    out: Json = {
        "namespaces": _namespaces(placement.network, host),
        "cgroupsPath": placement.cgroup,
        "resources": _resources(spec.resources, spec.insecure),
        "maskedPaths": [] if spec.insecure else list(MASKED_PATHS),
        "readonlyPaths": [] if spec.insecure else list(READONLY_PATHS),
    }
    if spec.insecure:
        out["devices"] = insecure_devices(host)
    elif placement.bpf:
        out["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO"}
    elif host.seccomp:
        caps = frozenset(DEFAULT_CAPABILITIES)
        out["seccomp"] = seccomp.oci_filter(host.arch, caps, host.kernel)
    return out


def _annotations(annotations: Mapping[str, str], bpf: str) -> dict[str, str]:
    """What the user asked for, without what would steer the runtime itself."""
    out = {k: v for k, v in annotations.items() if not k.startswith(RUNTIME_ANNOTATIONS)}
    return {**out, CRUN_BPF_ANNOTATION: bpf} if bpf else out


def with_tracing(process: Process) -> Process:
    """The process with the trace's variables in its environment, where that does not set them."""
    env_names = {entry.partition("=")[0] for entry in process.env}
    added = [f"{name}={value}" for name, value in TRACE_ENV.items() if name not in env_names]
    return replace(process, env=[*process.env, *added])


def config_json(spec: ContainerSpec, process: Process, placement: Placement, host: Host) -> Json:
    """The whole `config.json`."""
    bpf = "" if spec.insecure else placement.bpf
    if placement.trace_socket:
        process = with_tracing(process)
    config: Json = {
        "ociVersion": "1.0.2",
        "process": process_json(process, placement.user, spec, host),
        "root": {"path": placement.rootfs, "readonly": spec.readonly_root},
        "hostname": spec.hostname,
        "mounts": [m.json() for m in all_mounts(spec, placement, host)],
        "annotations": _annotations(spec.annotations, bpf),
        "linux": _linux(spec, placement, host),
    }
    cdi_edits.apply(config, spec.devices)
    return config
