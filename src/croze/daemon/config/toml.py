"""`buildkitd.toml`: the daemon's configuration, with BuildKit's sections and keys.

Source: BuildKit docs/buildkitd.toml.md and `cmd/buildkitd/config`. What a flag or a variable of the
environment sets is a key of this file, too (`daemon.config.flags`): it is laid over what the file
says, and the whole is read once. Keys of BuildKit's that are refused here, or mean nothing here,
are told why in `daemon.config.toml_keys`.

Annotations are values here, not text as elsewhere: msgspec would compile each of them, which takes
a thirtieth of the daemon's start.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from croze.daemon.config.sizes import DiskSpace, Duration
from croze.daemon.config.toml_keys import canonical, remarks
from croze.dockerfile.work import CPU_S
from croze.errors import InvalidRequest

Toml = dict[str, Any]


class LogSection(msgspec.Struct, frozen=True):
    format: str = ""
    level: str = ""


class TlsSection(msgspec.Struct, frozen=True):
    cert: str = ""
    key: str = ""
    ca: str = ""


class Grpc(msgspec.Struct, frozen=True, rename="camel"):
    """The section `[grpc]`. `uid` and `gid` own the Unix sockets."""

    address: list[str] = []
    debug_address: str = ""
    uid: int | None = None
    gid: int | None = None
    tls: TlsSection = TlsSection()


class Dns(msgspec.Struct, frozen=True, rename="camel"):
    nameservers: list[str] = []
    options: list[str] = []
    search_domains: list[str] = []


class GcPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """An entry of `[[worker.oci.gcpolicy]]`, as BuildKit has it."""

    all: bool = False
    filters: list[str] = []
    keep_duration: Duration = Duration()
    keep_bytes: DiskSpace = DiskSpace()
    reserved_space: DiskSpace = DiskSpace()
    max_used_space: DiskSpace = DiskSpace()
    min_free_space: DiskSpace = DiskSpace()


class OciWorker(msgspec.Struct, frozen=True, rename="camel"):
    """The section `[worker.oci]`."""

    enabled: bool = True
    labels: dict[str, str] = {}
    platforms: list[str] = []
    snapshotter: str = "auto"
    rootless: bool = False
    no_process_sandbox: bool = False
    binary: str = ""
    apparmor_profile: str = msgspec.field(default="", name="apparmor-profile")
    default_cgroup_parent: str = ""
    network_mode: str = "auto"
    cni_config_path: str = ""
    cni_binary_path: str = ""
    cni_pool_size: int = 0
    bridge_name: str = ""
    bridge_subnet: str = ""
    max_parallelism: int = msgspec.field(default=0, name="max-parallelism")
    gc: bool = True
    gckeepstorage: DiskSpace = msgspec.field(default=DiskSpace(), name="gckeepstorage")
    reserved_space: DiskSpace = DiskSpace()
    max_used_space: DiskSpace = DiskSpace()
    min_free_space: DiskSpace = DiskSpace()
    gcpolicy: list[GcPolicy] = msgspec.field(default_factory=list, name="gcpolicy")


class WorkersSection(msgspec.Struct, frozen=True):
    oci: OciWorker = OciWorker()


class KeyPair(msgspec.Struct, frozen=True):
    key: str
    cert: str


class RegistrySection(msgspec.Struct, frozen=True):
    """A section `[registry."host"]`."""

    mirrors: list[str] = []
    http: bool | None = None
    insecure: bool | None = None
    ca: list[str] = []
    keypair: list[KeyPair] = []
    tlsconfigdir: list[str] = []


class FrontendSection(msgspec.Struct, frozen=True, rename="camel"):
    """A section `[frontend."name"]`. `allowed_repositories` is for `gateway.v0`; `max_cpu_time`,
    Croze's own, is for `dockerfile.v0`: how long it may compute for one request."""

    enabled: bool = True
    allowed_repositories: list[str] = []
    max_cpu_time: Duration = Duration(CPU_S)


class GhaSign(msgspec.Struct, frozen=True):
    command: list[str] = []


class GhaPolicy(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Who may have signed a cache: how many witnesses there must be, and fields of the certificate,
    by Sigstore's names (`croze.sigstore.identity`). One that is misspelt would not be asked for."""

    timestamp_threshold: int = 0
    tlog_threshold: int = 0
    certificate_issuer: str = ""
    subject_alternative_name: str = ""
    issuer: str = ""
    github_workflow_trigger: str = ""
    github_workflow_sha: str = msgspec.field(default="", name="githubWorkflowSHA")
    github_workflow_name: str = ""
    github_workflow_repository: str = ""
    github_workflow_ref: str = ""
    build_signer_uri: str = msgspec.field(default="", name="buildSignerURI")
    build_signer_digest: str = ""
    runner_environment: str = ""
    source_repository_uri: str = msgspec.field(default="", name="sourceRepositoryURI")
    source_repository_digest: str = ""
    source_repository_ref: str = ""
    source_repository_identifier: str = ""
    source_repository_owner_uri: str = msgspec.field(default="", name="sourceRepositoryOwnerURI")
    source_repository_owner_identifier: str = ""
    build_config_uri: str = msgspec.field(default="", name="buildConfigURI")
    build_config_digest: str = ""
    build_trigger: str = ""
    run_invocation_uri: str = msgspec.field(default="", name="runInvocationURI")
    source_repository_visibility_at_signing: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the certificate that are asked for."""
        return {
            each.encode_name: value
            for each in msgspec.structs.fields(self)
            if isinstance(value := getattr(self, each.name), str) and value
        }


class GhaVerify(msgspec.Struct, frozen=True):
    required: bool = False
    policy: GhaPolicy = GhaPolicy()


class GhaSection(msgspec.Struct, frozen=True):
    """The section `[cache.gha]`: signed indexes. `sign` counts by being there: what is signed is
    kept apart."""

    sign: GhaSign | None = None
    verify: GhaVerify = GhaVerify()


class CachesSection(msgspec.Struct, frozen=True):
    gha: GhaSection = GhaSection()


class System(msgspec.Struct, frozen=True, rename="camel"):
    """The section `[system]`. A negative `platforms_cache_max_age` never looks again."""

    platforms_cache_max_age: Duration = Duration(20)
    max_registry_concurrency: int = 4


class Otel(msgspec.Struct, frozen=True, rename="camel"):
    socket_path: str = ""


class Cdi(msgspec.Struct, frozen=True, rename="camel"):
    disabled: bool = False
    spec_dirs: list[str] = []
    auto_allowed: list[str] = []


class HistoryLimits(msgspec.Struct, frozen=True, rename="camel"):
    """The section `[history]`: how many records stay, and for how long."""

    max_age: Duration = Duration()
    max_entries: int = 0


class Why(msgspec.Struct, frozen=True, rename="camel"):
    """The section `[why]`, Croze's own: records of past builds. `warnings`: of steps that miss the
    cache; `builds`: how many are remembered of each Dockerfile, 0 for none."""

    warnings: bool = False
    builds: int = 20


class CacheMountsSection(msgspec.Struct, frozen=True, rename="camel"):
    """The section `[cacheMounts]`, Croze's own: contents of cache mounts that travel. `max_size`:
    how much the files of all mounts of one cache may hold, read or written."""

    max_size: DiskSpace = DiskSpace(10 << 30)


class Config(msgspec.Struct, frozen=True, rename="camel"):
    """The whole configuration. `warnings`: sentences about keys without effect, or deprecated
    ones."""

    debug: bool = False
    trace: bool = False
    root: str = ""
    insecure_entitlements: list[str] | None = msgspec.field(
        default=None, name="insecure-entitlements"
    )
    provenance_env_dir: str = ""
    proxy_network: bool = False
    log: LogSection = LogSection()
    grpc: Grpc = Grpc()
    otel: Otel = Otel()
    cdi: Cdi = Cdi()
    worker: WorkersSection = WorkersSection()
    registry: dict[str, RegistrySection] = {}
    dns: Dns | None = None
    history: HistoryLimits | None = None
    frontend: dict[str, FrontendSection] = {}
    system: System = System()
    why: Why = Why()
    cache: CachesSection = CachesSection()
    cache_mounts: CacheMountsSection = CacheMountsSection()
    warnings: tuple[str, ...] = ()


def read(path: Path) -> Toml:
    """The file's tables as they are; none where there is no file, as BuildKit has it. Raises
    `InvalidRequest` that names the file and the line."""
    try:
        text = path.read_text(encoding="utf-8")
        return _tables(text) if text else {}
    except FileNotFoundError:
        return {}
    except ValueError as error:  # of TOML, and of UTF-8
        raise InvalidRequest(f"failed to load config from {path}: {error}") from error
    except OSError as error:
        raise InvalidRequest(f"failed to load config from {path}: {error.strerror}") from error


def _tables(text: str) -> Toml:
    import tomllib

    return tomllib.loads(text)


def load(file: Mapping[str, object], origin: str, *layers: Mapping[str, object]) -> Config:
    """Read the file, called `origin` in messages, and what is laid over it, last on top. Tables are
    merged, everything else is replaced. Raises `InvalidRequest` or `Unsupported` naming the key."""
    merged: Toml = {}
    for layer in (file, *layers):
        _lay(merged, canonical(layer, Config))
    warnings = tuple(remarks(merged, Config))
    try:
        config = msgspec.convert(merged, Config, dec_hook=_scalar)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidRequest(f"failed to load config from {origin}: {error}") from error
    return msgspec.structs.replace(config, warnings=warnings)


def _lay(below: Toml, above: Toml) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay(below[key], value)
        else:
            below[key] = value


def _scalar(kind: type, value: object) -> object:
    """Text and numbers that are more than that."""
    if kind is DiskSpace:
        return DiskSpace.parse(value)
    if kind is Duration:
        return Duration.parse(value)
    raise NotImplementedError(kind)
