"""Attributes of cache exporters (BuildKit `cache/remotecache/registry`, `.../local`); those of
object storage are read in `remotecache.objects`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from croze.errors import CrozeError, InvalidRequest
from croze.gotypes.booleans import checked_bool, parse_bool
from croze.image import reference
from croze.image.reference import Reference
from croze.remotecache.gather import Mode
from croze.remotecache.mounts.options import MountOptions, mount_options
from croze.remotecache.objects import opened as objects
from croze.remotecache.objects.opened import AZBLOB, GHA, KINDS, S3
from croze.store.attributes import parse_compression
from croze.store.contract import Compression

INLINE = "inline"
REGISTRY = "registry"
LOCAL = "local"
_NAMES = {
    REGISTRY: "exporting cache to registry",
    LOCAL: "exporting cache to client directory",
    GHA: "exporting to GitHub Actions Cache",
    S3: "exporting cache to Amazon S3",
    AZBLOB: "exporting cache to Azure Blob Storage",
}


class ExportOptions(Struct, frozen=True):
    """What one exporter is told, but for the inline one. `ref`, `dest` or `place`, by kind."""

    kind: str
    name: str
    """For the progress line."""
    mode: Mode = "min"
    ignore_error: bool = False
    compression: Compression = field(default_factory=Compression)
    image_manifest: bool = True
    oci: bool = True
    ref: Reference | None = None
    insecure: bool = False
    dest: str = ""
    mounts: MountOptions | None = None
    """Which cache mounts go along."""
    place: objects.Options | None = None


class CacheExports(Struct, frozen=True):
    """All caches that a build is to be exported to."""

    inline: bool = False
    others: tuple[ExportOptions, ...] = ()


def parse_exports(entries: Sequence[tuple[str, Mapping[str, str]]]) -> CacheExports:
    """Read (type, attributes) pairs. Raises `InvalidRequest` for what is unknown, wrong, or asked
    for twice."""
    _refuse_duplicates(entries)
    for kind, attrs in entries:
        if kind == INLINE and _mounts(kind, attrs) is not None:
            raise InvalidRequest(
                "failed to configure inline cache exporter: cache mounts can't be in an image,"
                " mounts needs a cache of its own (e.g. type=registry)"
            )
    return CacheExports(
        inline=any(kind == INLINE for kind, _ in entries),
        others=tuple(
            replace(_parse(kind, attrs), mounts=_mounts(kind, attrs))
            for kind, attrs in entries
            if kind != INLINE
        ),
    )


def _refuse_duplicates(entries: Sequence[tuple[str, Mapping[str, str]]]) -> None:
    seen: set[str] = set()
    twice: dict[str, str] = {}
    for kind, attrs in entries:
        key = json.dumps([kind, attrs], sort_keys=True)
        if kind == REGISTRY and attrs.get("ref"):
            key = attrs["ref"]
        if key in seen and kind != INLINE:
            twice[key] = kind
        seen.add(key)
    if twice:
        raise InvalidRequest(f"duplicate cache exports [{' '.join(twice.values())}]")


def _parse(kind: str, attrs: Mapping[str, str]) -> ExportOptions:
    if kind not in _NAMES:
        raise InvalidRequest(f'unknown cache exporter: "{kind}"')
    try:
        return _configured(kind, attrs)
    except CrozeError as err:
        raise err.wrap(f"failed to configure {kind} cache exporter") from None


def _configured(kind: str, attrs: Mapping[str, str]) -> ExportOptions:
    if kind in KINDS:
        return ExportOptions(
            kind,
            _NAMES[kind],
            mode=_mode(attrs),
            ignore_error=_ignores_errors(attrs),
            place=objects.parse(kind, attrs),
        )
    if kind == LOCAL and not attrs.get("dest"):
        raise InvalidRequest("local cache exporter requires dest")
    compression = parse_compression(attrs)
    ref = cache_reference(attrs) if kind == REGISTRY else None
    oci = _flag(attrs, "oci-mediatypes", True)
    return ExportOptions(
        kind,
        _NAMES[kind],
        mode=_mode(attrs),
        ignore_error=_ignores_errors(attrs),
        compression=compression,
        image_manifest=_flag(attrs, "image-manifest", oci),
        oci=oci,
        ref=ref,
        insecure=kind == REGISTRY and _flag(attrs, "registry.insecure", False),
        dest=attrs["dest"] if kind == LOCAL else "",
    )


def _mounts(kind: str, attrs: Mapping[str, str]) -> MountOptions | None:
    try:
        return mount_options(attrs)
    except InvalidRequest as err:
        raise err.wrap(f"failed to configure {kind} cache exporter") from None


def _mode(attrs: Mapping[str, str]) -> Mode:
    return "max" if attrs.get("mode") == "max" else "min"


def _ignores_errors(attrs: Mapping[str, str]) -> bool:
    return bool(parse_bool(attrs.get("ignore-error", "")))


def cache_reference(attrs: Mapping[str, str]) -> Reference:
    """The `ref` of a cache in a registry."""
    text = attrs.get("ref", "")
    if not text:
        raise InvalidRequest("missing ref")
    return reference.parse(text).tagged()


def _flag(attrs: Mapping[str, str], key: str, default: bool) -> bool:
    return checked_bool(attrs[key], f"failed to parse {key}") if key in attrs else default
