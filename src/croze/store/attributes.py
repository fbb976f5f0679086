"""Attributes of exporters, of images as of caches, that say how layers are written
(BuildKit `util/compression/attrs.go`)."""

from __future__ import annotations

from collections.abc import Mapping

from croze.errors import InvalidRequest
from croze.store.contract import Compression, CompressionType

_COMPRESSIONS: Mapping[str, CompressionType] = {
    "uncompressed": "uncompressed",
    "gzip": "gzip",
    "zstd": "zstd",
    "estargz": "estargz",
}
_ON_DEMAND = ": only a snapshotter of its own can read it; layers read on demand are estargz here"
_REASONS = {"nydus": _ON_DEMAND, "overlaybd": _ON_DEMAND}
_TRUE = frozenset(["1", "t", "T", "TRUE", "true", "True"])
_FALSE = frozenset(["0", "f", "F", "FALSE", "false", "False"])


def parse_bool(key: str, text: str, *, empty: bool | None = None) -> bool:
    """A truth value as Go reads it; `empty` is what an empty text means, if anything."""
    if text == "" and empty is not None:
        return empty
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidRequest(
        f'non-bool value specified for {key}: strconv.ParseBool: parsing "{text}": invalid syntax'
    )


def parse_compression(attrs: Mapping[str, str]) -> Compression:
    """`compression`, `compression-level`, `force-compression`."""
    name = attrs.get("compression", "gzip")
    if name not in _COMPRESSIONS:
        raise InvalidRequest(f"unsupported compression type {name}{_REASONS.get(name, '')}")
    text = attrs.get("compression-level")
    try:
        level = int(text) if text is not None else None
    except ValueError as err:
        raise InvalidRequest(
            f"non-integer value {text} specified for compression-level: "
            f'strconv.ParseInt: parsing "{text}": invalid syntax'
        ) from err
    force = parse_bool("force-compression", attrs.get("force-compression", "false"), empty=True)
    return Compression(_COMPRESSIONS[name], level, force)
