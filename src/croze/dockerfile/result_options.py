"""Options that the daemon itself reads, besides the frontend: what caches a build may look into,
and what is to be attested of its results."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from croze.dockerfile.csv_fields import csv_fields
from croze.errors import CrozeError, InvalidRequest
from croze.files.settings import parse_json
from croze.gotypes.json_text import syntax_error
from croze.gotypes.quote import quote
from croze.image import reference

BUILTIN_GENERATOR = "croze"
"""In place of a scanner's image: the daemon looks itself."""
_DEFAULT_SBOM_GENERATOR = "docker/buildkit-syft-scanner:stable-1"
_ATTESTATIONS = ("sbom", "provenance")
_ENTRY_TYPE = "moby_buildkit_v1.CacheOptionsEntry"


class CacheImportOption(Struct, frozen=True):
    """A cache to look results up in."""

    type: str
    attrs: Mapping[str, str]


class SbomOptions(Struct, frozen=True):
    """The scanner's image and its parameters."""

    generator: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def prefixed(raw: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The options whose names begin so, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in raw.items() if k.startswith(prefix)}


def parse_cache_imports(raw: Mapping[str, str]) -> list[CacheImportOption]:
    """The caches that a client names to the frontend. Raises `InvalidRequest`."""
    imports: list[CacheImportOption] = []
    if text := raw.get("cache-imports"):
        imports += _parse_json_imports(text)
    if text := raw.get("cache-from"):
        imports += [CacheImportOption("registry", {"ref": ref}) for ref in text.split(",")]
    return imports


def _parse_json_imports(text: str) -> list[CacheImportOption]:
    try:
        entries = parse_json(text)
    except ValueError as error:
        raise _bad_imports(text, syntax_error(text) or str(error)) from None
    if not isinstance(entries, list | None):
        raise _bad_imports(text, _of_other_type(entries, "[]*" + _ENTRY_TYPE))
    imports = []
    for entry in entries or ():
        if not isinstance(entry, dict):
            raise _bad_imports(text, _of_other_type(entry, _ENTRY_TYPE))
        members = {str(key).lower(): value for key, value in entry.items()}
        attrs = {str(k): str(v) for k, v in dict(members.get("attrs") or {}).items()}
        imports.append(CacheImportOption(str(members.get("type") or ""), attrs))
    return imports


def _of_other_type(value: object, go_type: str) -> str:
    """What Go's decoder says of a value that it can't store."""
    match value:
        case bool():
            kind = "bool"
        case int() | float():
            kind = "number"
        case str():
            kind = "string"
        case list():
            kind = "array"
        case _:
            kind = "object"
    return f"json: cannot unmarshal {kind} into Go value of type {go_type}"


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
    if not generator:
        raise InvalidRequest("sbom generator cannot be empty")
    try:
        ref = reference.parse(generator).tagged()
    except CrozeError as err:
        raise err.wrap(f"failed to parse sbom generator {generator}") from None
    return SbomOptions(str(ref), attrs)


def parse_attestations(raw: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Requested attestations and their parameters, defaults filled in."""
    texts = prefixed(raw, "attest:") | prefixed(raw, "build-arg:BUILDKIT_ATTEST_")
    attestations: dict[str, dict[str, str]] = {}
    for key, text in texts.items():
        kind = key.lower()
        attrs: dict[str, str] = {}
        if kind == "sbom":
            attrs["generator"] = _DEFAULT_SBOM_GENERATOR
        elif kind == "provenance":
            attrs["version"] = "v1"
        pairs = [field.partition("=") for field in csv_fields(text, kind)]
        attestations[kind] = attrs | {name: value for name, _, value in pairs}
    for kind in attestations:
        if kind not in _ATTESTATIONS:
            raise InvalidRequest(f"unknown attestation type {quote(kind)}")
    return attestations
