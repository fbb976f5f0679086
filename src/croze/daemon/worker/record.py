"""What the daemon says of its worker: id, labels, platforms, policies."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import overload

from msgspec import Struct, field

from croze.api import ops_pb2, worker_pb2
from croze.daemon.config.settings import Settings
from croze.daemon.config.toml import Cdi
from croze.daemon.worker.network_mode import host_gateway, network_mode
from croze.dockerfile import LANGUAGE_VERSION
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.runtime.cdi import DEFAULT_DIRS, Devices
from croze.store.contract import PrunePolicy
from croze.store.filters import Fields
from croze.version import BUILDKIT_VERSION

LABEL_PREFIX = "org.mobyproject.buildkit.worker."
HOST_GATEWAY = f"{LABEL_PREFIX}moby.host-gateway-ip"
"""The label by which the builder of a Docker engine says what `host-gateway` stands for."""


class Worker(Struct, frozen=True):
    """The one worker that this daemon is."""

    id: str
    snapshotter: str
    platforms: Sequence[Platform]
    policies: Sequence[PrunePolicy]
    labels: Mapping[str, str]
    process_mode: str = "sandbox"
    network: str = "host"
    host_gateway: str = ""
    """An address at which steps reach this machine, for clients of Docker's API."""
    devices: Devices = field(default_factory=lambda: Devices(()))

    def record(self) -> worker_pb2.WorkerRecord:
        """The worker as `ListWorkers` and the gateway tell of it."""
        labels = {
            f"{LABEL_PREFIX}executor": "oci",
            f"{LABEL_PREFIX}hostname": socket.gethostname(),
            f"{LABEL_PREFIX}network": "cni" if self.network == "bridge" else self.network,
            f"{LABEL_PREFIX}oci.process-mode": self.process_mode,
            f"{LABEL_PREFIX}selinux.enabled": "false",
            f"{LABEL_PREFIX}snapshotter": self.snapshotter,
            **({HOST_GATEWAY: self.host_gateway} if self.host_gateway else {}),
            **self.labels,
        }
        return worker_pb2.WorkerRecord(
            ID=self.id,
            Labels=labels,
            platforms=[message(p) for p in self.platforms],
            GCPolicy=[policy_message(p) for p in self.policies],
            BuildkitVersion=buildkit_version(),
            CDIDevices=[
                worker_pb2.CDIDevice(
                    Name=d.name, AutoAllow=d.auto_allowed, Annotations=d.annotations
                )
                for d in self.devices.all()
            ],
        )


def this_worker(settings: Settings, snapshotter: str, policies: Sequence[PrunePolicy]) -> Worker:
    """The worker of a daemon that runs by these settings."""
    oci, system = settings.config.worker.oci, settings.config.system
    return Worker(
        id=worker_id(settings.root),
        snapshotter=snapshotter,
        platforms=MachinePlatforms(oci.platforms, system.platforms_cache_max_age.seconds),
        policies=policies,
        labels=oci.labels,
        process_mode="no-sandbox" if oci.no_process_sandbox else "sandbox",
        devices=_devices(settings.config.cdi),
        network=network_mode(oci),
        host_gateway=host_gateway(oci) if settings.docker_api else "",
    )


def _devices(cdi: Cdi) -> Devices:
    if cdi.disabled:
        return Devices(())
    return Devices(cdi.spec_dirs or DEFAULT_DIRS, auto_allowed=cdi.auto_allowed)


def fields(record: worker_pb2.WorkerRecord) -> Fields:
    """What filters can ask about a worker."""
    return {"id": record.ID, **{f"labels.{key}": value for key, value in record.Labels.items()}}


def policy_message(policy: PrunePolicy) -> worker_pb2.GCPolicy:
    """A policy of garbage collection as `ListWorkers` tells of it: times in nanoseconds."""
    return worker_pb2.GCPolicy(
        all=policy.all,
        keepDuration=int(policy.keep_duration_s * 1e9),
        filters=policy.filters,
        reservedSpace=policy.reserved_space,
        maxUsedSpace=policy.max_used_space,
        minFreeSpace=policy.min_free_space,
    )


def buildkit_version() -> worker_pb2.BuildkitVersion:
    """What runs here: the daemon and its Dockerfile frontend."""
    return worker_pb2.BuildkitVersion(
        package="croze", version=BUILDKIT_VERSION, dockerfileVersion=LANGUAGE_VERSION
    )


def message(platform: Platform) -> ops_pb2.Platform:
    return ops_pb2.Platform(
        Architecture=platform.architecture,
        OS=platform.os,
        Variant=platform.variant,
        OSVersion=platform.os_version,
    )


def worker_id(root: Path) -> str:
    """A random name for this state directory, made once."""
    path = root / "workerid"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        id = os.urandom(12).hex()
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(id, encoding="ascii")
        temporary.replace(path)
        return id


_AMD64 = {
    "v2": "pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm",
    "v3": "fma movbe xsave avx f16c bmi1 avx2 bmi2 abm",
    "v4": "avx512f avx512dq avx512cd avx512bw avx512vl",
}
"""The levels of amd64, each with what it has beyond the one before, as `/proc/cpuinfo` calls it.
Source: x86-64 psABI, micro-architecture levels."""
_BINFMT = {
    "aarch64": ("arm64",),
    "riscv64": ("riscv64",),
    "ppc64le": ("ppc64le",),
    "s390x": ("s390x",),
    "i386": ("386",),
    "mips64el": ("mips64le",),
    "loongarch64": ("loong64",),
    "arm": ("arm/v7", "arm/v6"),
}
"""qemu-user's names for architectures, and ours, in the order in which BuildKit lists them."""


class MachinePlatforms(Sequence[Platform]):
    """The platforms that this machine can run: looked up again when they are older than
    `max_age_s`; a negative age never is. BuildKit's `platformsCacheMaxAge`."""

    def __init__(self, configured: Sequence[str], max_age_s: float) -> None:
        """Platforms of this machine besides `configured`. Raises `InvalidRequest` of a text there
        that is none."""
        self._preferred = [platforms.normalize(platforms.parse(text)) for text in configured]
        self._max_age_s = max_age_s
        self._found: list[Platform] = []
        self._found_at = 0.0

    def _current(self) -> list[Platform]:
        age = time.monotonic() - self._found_at
        if not self._found or 0 <= self._max_age_s < age:
            self._found = supported_platforms(self._preferred)
            self._found_at = time.monotonic()
        return self._found

    @overload
    def __getitem__(self, index: int) -> Platform: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Platform]: ...

    def __getitem__(self, index: int | slice) -> Platform | Sequence[Platform]:
        return self._current()[index]

    def __len__(self) -> int:
        return len(self._current())


def supported_platforms(preferred: Sequence[Platform]) -> list[Platform]:
    """The preferred ones, the best first, and those of this machine that none of them runs, as
    BuildKit lists them."""
    matchers = [platforms.only(each) for each in preferred]
    others = (each for each in _machine_platforms() if not any(m.match(each) for m in matchers))
    return [*preferred, *others]


def _machine_platforms() -> list[Platform]:
    """This machine's own, and those that binfmt_misc has an emulator for."""
    native = platforms.default_platform()
    names = []
    if native.architecture == "amd64":
        with open("/proc/cpuinfo") as cpuinfo:
            names += [f"amd64/{level}" for level in amd64_levels(cpuinfo)]
    for name, architectures in _BINFMT.items():
        is_native = native.architecture == "amd64" and name == "i386"
        if is_native or _is_enabled(Path("/proc/sys/fs/binfmt_misc") / f"qemu-{name}"):
            names += architectures
    others = (platforms.normalize(platforms.parse(f"linux/{name}")) for name in names)
    return list(dict.fromkeys((native, *others)))


def amd64_levels(cpuinfo: Iterable[str]) -> list[str]:
    """The micro-architecture levels that a processor has beyond the first, by its lines."""
    line = next((line for line in cpuinfo if line.startswith("flags")), "")
    has = set(line.partition(":")[2].split())
    has_level = (has.issuperset(features.split()) for features in _AMD64.values())
    return [
        level
        for level, _ in itertools.takewhile(lambda one: one[1], zip(_AMD64, has_level, strict=True))
    ]


def _is_enabled(handler: Path) -> bool:
    try:
        return handler.read_text().startswith("enabled")
    except FileNotFoundError:
        return False
