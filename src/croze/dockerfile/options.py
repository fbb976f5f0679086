"""The frontend's options: text attributes from a client, read and checked.

Names and messages are those of BuildKit's `frontend/dockerui`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

from croze.dockerfile.csv_fields import csv_fields
from croze.dockerfile.lint import LintConfig, parse_check
from croze.dockerfile.resource_options import parse_resources, parse_ulimits
from croze.dockerfile.result_options import (
    CacheImportOption,
    SbomOptions,
    parse_cache_imports,
    parse_sbom,
    prefixed,
)
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes.booleans import parse_bool
from croze.gotypes.letters import to_lower
from croze.gotypes.numbers import parse_int
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.llb import caps
from croze.llb.execop import Device
from croze.llb.meta import NetworkMode, Ulimit
from croze.llb.options import LinuxResources
from croze.llb.source import ResolveMode

_LINT_ARG = "build-arg:BUILDKIT_DOCKERFILE_CHECK"


class DockerfileOptions(Struct, frozen=True):
    """What the client asks for, parsed. `raw` keeps the attributes themselves."""

    raw: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target_platforms: Sequence[Platform] = ()
    build_platforms: Sequence[Platform] = ()
    multi_platform: bool = False
    resolve_mode: ResolveMode = "default"
    extra_hosts: Sequence[tuple[str, str]] = ()
    """(name, IP address)"""
    shm_size_bytes: int = 0
    ulimits: Sequence[Ulimit] = ()
    resources: LinuxResources | None = None
    network: NetworkMode = "sandbox"
    cgroup_parent: str = ""
    hostname: str = ""
    cache_namespace: str = ""
    cache_imports: Sequence[CacheImportOption] = ()
    sbom: SbomOptions | None = None
    devices: Sequence[Device] = ()
    """CDI devices for every RUN. Not an attribute: a daemon may set it."""
    labs: bool = False
    """Whether the language has what is not stable yet. Not an attribute: the frontend that is named
    says so (`docker/dockerfile:labs`)."""
    lint: LintConfig | None = None
    """Set by the client; None leaves it to the Dockerfile's `check` directive."""
    no_cache: Sequence[str] | None = None
    """Stages that ignore the cache; all if empty, none if None."""
    local_sessions: Mapping[str, str] = field(default_factory=dict)
    """Sessions of local sources that are not the client's own."""

    def ignores_cache(self, stage: str) -> bool:
        """Whether `no-cache` is of this stage: named, or of all."""
        if self.no_cache is None:
            return False
        return not self.no_cache or stage.lower() in (name.lower() for name in self.no_cache)


def parse_options(
    raw: Mapping[str, str],
    worker_platforms: Sequence[Platform] = (),
    has_cap: Callable[[str], bool] | None = None,
) -> DockerfileOptions:
    """Read a client's attributes. Raises `InvalidRequest`, also for a daemon that is too old."""
    _refuse_old_daemons(has_cap)
    _refuse_removed(raw)
    build_platform = worker_platforms[0] if worker_platforms else platforms.default_platform()
    targets = _parse_platforms(raw["platform"]) if raw.get("platform") else []
    resolve_mode = _parse_resolve_mode(raw.get("image-resolve-mode", ""))
    extra_hosts = _parse_extra_hosts(raw.get("add-hosts", ""))
    shm_size = _parse_shm_size(raw.get("shm-size", ""))
    ulimits = parse_ulimits(raw.get("ulimit", ""))
    resources = parse_resources(raw)
    network = _parse_network(raw.get("force-network-mode", ""))
    multi = _parse_multi(raw, len(targets) > 1)
    imports = parse_cache_imports(raw)
    sbom = parse_sbom(raw)
    return DockerfileOptions(
        raw=raw,
        target=raw.get("target", ""),
        build_args=prefixed(raw, "build-arg:"),
        labels=prefixed(raw, "label:"),
        target_platforms=targets,
        build_platforms=[build_platform],
        multi_platform=multi,
        resolve_mode=resolve_mode,
        extra_hosts=extra_hosts,
        shm_size_bytes=shm_size,
        ulimits=ulimits,
        resources=resources,
        network=network,
        cgroup_parent=raw.get("cgroup-parent", ""),
        hostname=raw.get("build-arg:BUILDKIT_SANDBOX_HOSTNAME") or raw.get("hostname", ""),
        cache_namespace=raw.get("build-arg:BUILDKIT_CACHE_MOUNT_NS", ""),
        cache_imports=imports,
        sbom=sbom,
        lint=_parse_lint(raw),
        no_cache=_parse_no_cache(raw),
        local_sessions=prefixed(raw, "local-sessionid:"),
    )


def _refuse_old_daemons(has_cap: Callable[[str], bool] | None) -> None:
    if has_cap is not None and not has_cap(caps.FILE_BASE):
        raise InvalidRequest(
            f"needs BuildKit 0.5 or later: requested prerelease feature {caps.FILE_BASE} "
            " has been disabled on the build server"
        )


def _refuse_removed(raw: Mapping[str, str]) -> None:
    if raw.get("override-copy-image"):
        raise InvalidRequest('support for "override-copy-image" was removed in BuildKit 0.11')
    if parse_bool(raw.get("build-arg:BUILDKIT_DISABLE_FILEOP", "")):
        raise InvalidRequest(
            'support for "BUILDKIT_DISABLE_FILEOP" build-arg was removed in BuildKit 0.11'
        )


def _parse_platforms(text: str) -> list[Platform]:
    return [_parse_platform(part) for part in text.split(",")]


def _parse_platform(text: str) -> Platform:
    try:
        return platforms.normalize(platforms.parse(text))
    except CrozeError as err:
        raise err.wrap(f"failed to parse target platform {text}") from None


def _parse_resolve_mode(text: str) -> ResolveMode:
    match text:
        case "" | "default":
            return "default"
        case "pull":
            return "pull"
        case "local":
            return "local"
    raise InvalidRequest(f"invalid image-resolve-mode: {text}")


def _parse_network(text: str) -> NetworkMode:
    match text:
        case "" | "sandbox":
            return "sandbox"
        case "none":
            return "none"
        case "host":
            return "host"
    raise InvalidRequest(f"invalid netmode {text}")


def _parse_extra_hosts(text: str) -> list[tuple[str, str]]:
    return [_parse_host(field) for field in csv_fields(text, "additional hosts")]


def _parse_host(text: str) -> tuple[str, str]:
    name, equals, address = to_lower(text).partition("=")
    if not equals:
        raise InvalidRequest(f"failed to parse additional hosts: invalid key-value pair {text}")
    try:
        parsed = ipaddress.ip_address(address.replace("%", "/"))  # zones are not for hosts files
    except ValueError:
        raise InvalidRequest(
            f"failed to parse additional hosts: failed to parse IP {address}"
        ) from None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return name, str(parsed.ipv4_mapped)
    return name, str(parsed)


def _parse_shm_size(text: str) -> int:
    try:
        return parse_int(text) if text else 0
    except CrozeError as err:
        raise err.wrap("failed to parse shm size") from None


def _parse_multi(raw: Mapping[str, str], several: bool) -> bool:
    text = raw.get("build-arg:BUILDKIT_MULTI_PLATFORM") or raw.get("multi-platform", "")
    if not text:
        return several
    value = parse_bool(text)
    if value is None:
        raise InvalidRequest(f"invalid boolean value for multi-platform: {text}")
    if several and not value:
        raise InvalidRequest(
            "conflicting config: returning multiple target platforms is not allowed"
        )
    return value


def _parse_lint(raw: Mapping[str, str]) -> LintConfig | None:
    if _LINT_ARG not in raw:
        return None
    try:
        return parse_check(raw[_LINT_ARG])
    except CrozeError as err:
        raise err.wrap(f"failed to parse {_LINT_ARG}") from None


def _parse_no_cache(raw: Mapping[str, str]) -> list[str] | None:
    text = raw.get("no-cache")
    if text is None:
        return None
    return text.split(",") if text else []
