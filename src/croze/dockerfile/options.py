"""The frontend's options: text attributes from a client, read and checked.

Names and messages are those of BuildKit's `frontend/dockerui`.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from croze.dockerfile.instructions.csv_fields import CsvError, csv_fields
from croze.dockerfile.json_form import kind, syntax_error
from croze.dockerfile.letters import to_lower
from croze.dockerfile.lint import LintConfig, parse_check
from croze.dockerfile.resource_options import parse_resources, parse_ulimits
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes.booleans import parse_bool
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote
from croze.image import platform as platforms
from croze.image import reference
from croze.image.platform import Platform
from croze.llb import caps
from croze.llb.execop import Device
from croze.llb.meta import NetworkMode, Ulimit
from croze.llb.options import LinuxResources
from croze.llb.source import ResolveMode

BUILTIN_GENERATOR = "croze"
"""In place of a scanner's image: the daemon looks itself."""
_DEFAULT_SBOM_GENERATOR = "docker/buildkit-syft-scanner:stable-1"
_ATTESTATIONS = ("sbom", "provenance")
_ENTRY_TYPE = "moby_buildkit_v1.CacheOptionsEntry"
_LINT_ARG = "build-arg:BUILDKIT_DOCKERFILE_CHECK"


@dataclass(frozen=True)
class CacheImport:
    """A cache to look results up in."""

    type: str
    attrs: Mapping[str, str]


@dataclass(frozen=True)
class SbomOptions:
    """The scanner's image and its parameters."""

    generator: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
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
    cache_imports: Sequence[CacheImport] = ()
    sbom: SbomOptions | None = None
    devices: Sequence[Device] = ()
    """CDI devices for every RUN. Not an attribute: a daemon may set it."""
    lint: LintConfig | None = None
    """Set by the client; None leaves it to the Dockerfile's `check` directive."""
    no_cache: Sequence[str] | None = None
    """Stages that ignore the cache; all if empty, none if None."""
    local_sessions: Mapping[str, str] = field(default_factory=dict)
    """Sessions of local sources that are not the client's own."""

    def ignores_cache(self, stage: str) -> bool:
        if self.no_cache is None:
            return False
        return not self.no_cache or stage.lower() in (name.lower() for name in self.no_cache)


def parse_options(
    raw: Mapping[str, str],
    worker_platforms: Sequence[Platform] = (),
    has_cap: Callable[[str], bool] | None = None,
) -> Options:
    """Read a client's attributes. Raises `InvalidRequest`, also for a daemon that is too old."""
    if has_cap is not None and not has_cap(caps.FILE_BASE):
        raise InvalidRequest(
            f"needs BuildKit 0.5 or later: requested prerelease feature {caps.FILE_BASE} "
            " has been disabled on the build server"
        )
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
    return Options(
        raw=raw,
        target=raw.get("target", ""),
        build_args=_prefixed(raw, "build-arg:"),
        labels=_prefixed(raw, "label:"),
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
        local_sessions=_prefixed(raw, "local-sessionid:"),
    )


def _refuse_removed(raw: Mapping[str, str]) -> None:
    if raw.get("override-copy-image"):
        raise InvalidRequest('support for "override-copy-image" was removed in BuildKit 0.11')
    if parse_bool(raw.get("build-arg:BUILDKIT_DISABLE_FILEOP", "")):
        raise InvalidRequest(
            'support for "BUILDKIT_DISABLE_FILEOP" build-arg was removed in BuildKit 0.11'
        )


def _prefixed(raw: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {k.removeprefix(prefix): v for k, v in raw.items() if k.startswith(prefix)}


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
    if not text:
        return []
    try:
        return [_parse_host(field) for field in csv_fields(text)]
    except CsvError as err:
        raise InvalidRequest(f"failed to parse additional hosts: {err}") from None


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


def parse_cache_imports(raw: Mapping[str, str]) -> list[CacheImport]:
    """The caches that a client names to the frontend. Raises `InvalidRequest`."""
    imports: list[CacheImport] = []
    if text := raw.get("cache-imports"):
        imports += _parse_json_imports(text)
    if text := raw.get("cache-from"):
        imports += [CacheImport("registry", {"ref": ref}) for ref in text.split(",")]
    return imports


def _parse_json_imports(text: str) -> list[CacheImport]:
    wrong = syntax_error(text) or "json: cannot unmarshal {} into Go value of type {}"
    try:
        entries = json.loads(text)
    except ValueError:
        raise _bad_imports(text, wrong) from None
    if not isinstance(entries, list | None):
        raise _bad_imports(text, wrong.format(kind(entries), "[]*" + _ENTRY_TYPE))
    found = []
    for entry in entries or ():
        if not isinstance(entry, dict):
            raise _bad_imports(text, wrong.format(kind(entry), _ENTRY_TYPE))
        members = {str(key).lower(): value for key, value in entry.items()}
        attrs = {str(k): str(v) for k, v in dict(members.get("attrs") or {}).items()}
        found.append(CacheImport(str(members.get("type") or ""), attrs))
    return found


def _bad_imports(text: str, wrong: str) -> InvalidRequest:
    return InvalidRequest(f"failed to unmarshal cache-imports ({quote(text)}): {wrong}")


def parse_sbom(raw: Mapping[str, str]) -> SbomOptions | None:
    """The SBOM that a request wants, if any. Raises `InvalidRequest`."""
    attrs = parse_attestations(raw).get("sbom")
    if attrs is None:
        return None
    generator = attrs.pop("generator")
    if generator == BUILTIN_GENERATOR:
        return SbomOptions(generator, attrs)
    try:
        ref = reference.parse(generator).tagged()
    except CrozeError as err:
        raise err.wrap(f"failed to parse sbom scanner {generator}") from None
    return SbomOptions(str(ref), attrs)


def parse_attestations(raw: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Requested attestations and their parameters, defaults filled in."""
    wanted = _prefixed(raw, "attest:") | _prefixed(raw, "build-arg:BUILDKIT_ATTEST_")
    found: dict[str, dict[str, str]] = {}
    for key, text in wanted.items():
        kind = key.lower()
        attrs: dict[str, str] = {}
        if kind == "sbom":
            attrs["generator"] = _DEFAULT_SBOM_GENERATOR
        elif kind == "provenance":
            attrs["version"] = "v1"
        try:
            pairs = [field.partition("=") for field in csv_fields(text)] if text else []
        except CsvError as err:
            raise InvalidRequest(f"failed to parse {kind}: {err}") from None
        found[kind] = attrs | {name: value for name, _, value in pairs}
    for kind in found:
        if kind not in _ATTESTATIONS:
            raise InvalidRequest(f"unknown attestation type {quote(kind)}")
    return found


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
