"""Attributes of exporters, of images as of caches, that say how layers are written
(BuildKit `util/compression/attrs.go`)."""

from __future__ import annotations

from collections.abc import Mapping

from croze.errors import InvalidRequest
from croze.gotypes.booleans import checked_bool
from croze.gotypes.numbers import parse_int
from croze.store.contract import Compression, CompressionType

_COMPRESSIONS: Mapping[str, CompressionType] = {
    "uncompressed": "uncompressed",
    "gzip": "gzip",
    "zstd": "zstd",
    "estargz": "estargz",
}
_ON_DEMAND = ": only a snapshotter of its own can read it; layers read on demand are estargz here"
_REASONS = {"nydus": _ON_DEMAND, "overlaybd": _ON_DEMAND}


def parse_bool(key: str, text: str, *, empty: bool | None = None) -> bool:
    """A truth value as Go reads it; `empty` is what an empty text means, if anything."""
    if text == "" and empty is not None:
        return empty
    return checked_bool(text, f"non-bool value specified for {key}")


def parse_compression(attrs: Mapping[str, str]) -> Compression:
    """`compression`, `compression-level`, `force-compression`."""
    name = attrs.get("compression", "gzip")
    if name not in _COMPRESSIONS:
        raise InvalidRequest(f"unsupported compression type {name}{_REASONS.get(name, '')}")
    forced = attrs.get("force-compression", "false") or "true"
    force = checked_bool(forced, f"non-bool value {forced} specified for force-compression")
    text = attrs.get("compression-level")
    try:
        level = parse_int(text) if text is not None else None
    except InvalidRequest as err:
        raise err.wrap(f"non-integer value {text} specified for compression-level") from err
    return Compression(_COMPRESSIONS[name], level, force)
