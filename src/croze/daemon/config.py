"""`buildkitd.toml`: the daemon's configuration file, with BuildKit's sections and keys.

Source: BuildKit docs/buildkitd.toml.md and `cmd/buildkitd/config`. Keys that exist there and mean
nothing here yet are accepted and named in `Config.ignored`, so that the daemon can say so.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from croze.errors import InvalidRequest
from croze.store.contract import PrunePolicy

DiskSpace = int | str
Duration = int | str


class Log(msgspec.Struct, frozen=True):
    format: str = "text"
    level: str = ""


class Tls(msgspec.Struct, frozen=True):
    cert: str = ""
    key: str = ""
    ca: str = ""


class Grpc(msgspec.Struct, frozen=True, rename="camel"):
    address: list[str] = []
    uid: int | None = None
    gid: int | None = None
    tls: Tls = Tls()


class Dns(msgspec.Struct, frozen=True, rename="camel"):
    nameservers: list[str] = []
    options: list[str] = []
    search_domains: list[str] = []


class GcPolicy(msgspec.Struct, frozen=True, rename="camel"):
    all: bool = False
    filters: list[str] = []
    keep_duration: Duration = 0
    keep_bytes: DiskSpace = 0
    reserved_space: DiskSpace = 0
    max_used_space: DiskSpace = 0
    min_free_space: DiskSpace = 0


class OciWorker(msgspec.Struct, frozen=True, rename="camel"):
    """`[worker.oci]`."""

    enabled: bool = True
    labels: dict[str, str] = {}
    platforms: list[str] = []
    snapshotter: str = "auto"
    binary: str = ""
    default_cgroup_parent: str = ""
    network_mode: str = "auto"
    max_parallelism: int = msgspec.field(default=0, name="max-parallelism")
    gc: bool = True
    gckeepstorage: DiskSpace = msgspec.field(default=0, name="gckeepstorage")
    reserved_space: DiskSpace = 0
    max_used_space: DiskSpace = 0
    min_free_space: DiskSpace = 0
    gcpolicy: list[GcPolicy] = msgspec.field(default_factory=list, name="gcpolicy")


class Workers(msgspec.Struct, frozen=True):
    oci: OciWorker = OciWorker()


class KeyPair(msgspec.Struct, frozen=True):
    key: str
    cert: str


class Registry(msgspec.Struct, frozen=True):
    """`[registry."host"]`."""

    mirrors: list[str] = []
    http: bool | None = None
    insecure: bool | None = None
    ca: list[str] = []
    keypair: list[KeyPair] = []
    tlsconfigdir: list[str] = []


class Frontend(msgspec.Struct, frozen=True, rename="camel"):
    """`[frontend."name"]`. `allowed_repositories` is for `gateway.v0`."""

    enabled: bool = True
    allowed_repositories: list[str] = []


class Why(msgspec.Struct, frozen=True, rename="camel"):
    """`[why]`: records of past builds, Croze's own. `warnings`: of steps that miss the cache;
    `builds`: how many are remembered of each Dockerfile, 0 for none."""

    warnings: bool = True
    builds: int = 20


class Config(msgspec.Struct, frozen=True, rename="camel"):
    """The whole file. `ignored` names its keys that have no effect."""

    debug: bool = False
    root: str = ""
    insecure_entitlements: list[str] = msgspec.field(
        default_factory=list, name="insecure-entitlements"
    )
    log: Log = Log()
    grpc: Grpc = Grpc()
    worker: Workers = Workers()
    registry: dict[str, Registry] = {}
    dns: Dns | None = None
    frontend: dict[str, Frontend] = {}
    why: Why = Why()
    ignored: tuple[str, ...] = ()


def load(path: Path) -> Config:
    """Read the file. Raises `InvalidRequest` that names the file, and the line or key."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        config = msgspec.convert(raw, Config)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InvalidRequest(f"failed to load config from {path}: {error}") from error
    except OSError as error:
        raise InvalidRequest(f"failed to load config from {path}: {error.strerror}") from error
    return msgspec.structs.replace(config, ignored=tuple(unknown_keys(raw, Config)))


def unknown_keys(raw: object, kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Dotted names of keys in `raw` that `kind` has no field for, at any depth."""
    if not isinstance(raw, dict):
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in raw.items():
        name = f"{prefix}{key}"
        if key not in fields:
            yield name
            continue
        nested = fields[key].type
        if isinstance(nested, type) and issubclass(nested, msgspec.Struct):
            yield from unknown_keys(value, nested, f"{name}.")


_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_BINARY_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-z]?)(i?)b?\s*$", re.IGNORECASE)


def size_bytes(value: DiskSpace, disk_total: int) -> int:
    """Bytes of a disk space value: a number of bytes, `10GB`, `512MiB` or `20%` of the disk."""
    if isinstance(value, int):
        return value
    if value.strip().endswith("%"):
        return int(disk_total * float(value.strip()[:-1]) / 100)
    match = _SIZE.match(value)
    unit = match.group(2).lower() if match else "?"
    table = _BINARY_UNITS if match and match.group(3) else _UNITS
    if match is None or unit not in table:
        raise InvalidRequest(f"invalid size: {value!r}")
    return int(float(match.group(1)) * table[unit])


_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SPAN_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_s(value: Duration) -> float:
    """Seconds of a duration: a number of seconds, or Go's text such as `1h30m`."""
    if isinstance(value, int):
        return float(value)
    if value.isdigit():
        return float(value)
    spans = _SPAN.findall(value)
    if "".join(number + unit for number, unit in spans) != value or not spans:
        raise InvalidRequest(f"invalid duration: {value!r}")
    return sum(float(number) * _SPAN_SECONDS[unit] for number, unit in spans)


def gc_policies(worker: OciWorker, root: Path) -> list[PrunePolicy]:
    """The policies in force: the file's, or BuildKit's four defaults scaled to the disk."""
    total = shutil.disk_usage(root).total
    if not worker.gc:
        return []
    if worker.gcpolicy:
        return [_policy(policy, total) for policy in worker.gcpolicy]
    return _default_policies(worker, total)


def _policy(policy: GcPolicy, total: int) -> PrunePolicy:
    return PrunePolicy(
        filters=tuple(policy.filters),
        all=policy.all,
        keep_duration_s=duration_s(policy.keep_duration),
        reserved_space=size_bytes(policy.reserved_space or policy.keep_bytes, total),
        max_used_space=size_bytes(policy.max_used_space, total),
        min_free_space=size_bytes(policy.min_free_space, total),
    )


_EASY_TO_MAKE_AGAIN = ("type==source.local", "type==exec.cachemount", "type==source.git.checkout")


def _default_policies(worker: OciWorker, total: int) -> list[PrunePolicy]:
    reserved = size_bytes(worker.reserved_space or worker.gckeepstorage, total)
    used = size_bytes(worker.max_used_space, total)
    free = size_bytes(worker.min_free_space, total)
    if not (reserved or used or free):
        reserved = min(total // 10, 10 * 10**9)
        used = min(total * 8 // 10, 100 * 10**9)
        free = total // 5
    limits = PrunePolicy(reserved_space=reserved, max_used_space=used, min_free_space=free)
    return [
        PrunePolicy(_EASY_TO_MAKE_AGAIN, keep_duration_s=48 * 3600, max_used_space=512 * 10**6),
        dataclasses.replace(limits, keep_duration_s=60 * 24 * 3600),
        limits,
        dataclasses.replace(limits, all=True),
    ]
