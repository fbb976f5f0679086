"""Annotations that a user asks for: `annotation[-type][platform].key=value`.

Source: BuildKit `exporter/containerimage/exptypes/annotations.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from croze.errors import InvalidRequest
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.patterns import lazy_pattern

_KEY = lazy_pattern(r"annotation(?:-([a-z-]+))?(?:\[([A-Za-z0-9_/-]+)\])?\.([^\t\n\f\r ]+)\Z")
_TYPES = ("manifest", "index", "manifest-descriptor", "index-descriptor")


class AnnotationKey(Struct, frozen=True):
    """Where an annotation goes. `platform` None is every platform."""

    type: str
    key: str
    platform: Platform | None = None

    def __str__(self) -> str:
        where = f"[{platforms.format_all(self.platform)}]" if self.platform else ""
        return f"annotation-{self.type}{where}.{self.key}"


class Annotations(Struct, frozen=True):
    """The annotations of one platform's manifest and of the index."""

    manifest: Mapping[str, str] = field(default_factory=dict)
    manifest_descriptor: Mapping[str, str] = field(default_factory=dict)
    index: Mapping[str, str] = field(default_factory=dict)
    index_descriptor: Mapping[str, str] = field(default_factory=dict)


def parse_key(text: str) -> AnnotationKey | None:
    """Read an attribute's name. None when it is not an annotation at all."""
    match = _KEY.match(text)
    if match is None:
        return None
    kind = match[1] or "manifest"
    if kind not in _TYPES:
        raise InvalidRequest(f"unrecognized annotation type {kind}")
    return AnnotationKey(kind, match[3], platforms.parse(match[2]) if match[2] else None)


def parse_attrs(attrs: Mapping[str, str]) -> tuple[dict[AnnotationKey, str], dict[str, str]]:
    """Split attributes into annotations and the rest."""
    annotations: dict[AnnotationKey, str] = {}
    rest: dict[str, str] = {}
    for name, value in attrs.items():
        key = parse_key(name)
        if key is None:
            rest[name] = value
        else:
            annotations[key] = value
    return annotations, rest


def select(annotations: Mapping[AnnotationKey, str], platform: Platform | None) -> Annotations:
    """What holds for a platform (None: for a result without one). Manifest annotations for that
    platform alone win over those for all; index annotations count whatever their platform."""
    out: dict[str, dict[str, str]] = {kind: {} for kind in _TYPES}
    text = platforms.format_all(platform) if platform else ""
    general_first = sorted(annotations.items(), key=lambda item: item[0].platform is not None)
    for key, value in general_first:
        where = platforms.format_all(key.platform) if key.platform else ""
        if where in ("", text) or key.type.startswith("index"):
            out[key.type][key.key] = value
    return Annotations(
        out["manifest"], out["manifest-descriptor"], out["index"], out["index-descriptor"]
    )
