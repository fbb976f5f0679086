"""`reset=true` of a local cache: when the new one is there, what only older ones needed goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from croze.errors import InvalidRequest
from croze.gotypes.booleans import parse_bool
from croze.image.descriptor import INDEX_TYPES, MANIFEST_TYPES
from croze.image.reference import check_digest


def wants_reset(attrs: dict[str, str]) -> bool:
    """Whether a cache's attributes say `reset=true`. Raises `InvalidRequest` for what is neither
    yes nor no."""
    text = attrs.get("reset")
    value = False if text is None else parse_bool(text)
    if value is None:
        raise InvalidRequest(
            f'failed to parse reset attribute: strconv.ParseBool: parsing "{text}": invalid syntax'
        )
    return value


def reset(layout: Path) -> None:
    """Delete the blobs that nothing in the layout's `index.json` names, at any depth. Raises
    `OSError`, `ValueError` or `InvalidRequest` if that can't be told: nothing is deleted then."""
    try:
        named = set(_named(layout, json.loads((layout / "index.json").read_bytes())))
    except RecursionError:
        raise ValueError(f"{layout}/index.json: what it names has no end") from None
    for blob in layout.glob("blobs/*/*"):
        if f"{blob.parent.name}:{blob.name}" not in named:
            blob.unlink(missing_ok=True)


def _named(layout: Path, value: object) -> Iterator[str]:
    """The digests of all descriptors in a manifest or index, and in those that it names."""
    if not isinstance(value, dict):
        return
    entries = [*(value.get("manifests") or ()), *(value.get("layers") or ())]
    for descriptor in (*entries, *([value["config"]] if value.get("config") else ())):
        digest, kind = str(descriptor["digest"]), str(descriptor.get("mediaType", ""))
        yield digest
        if kind in MANIFEST_TYPES | INDEX_TYPES:
            path = layout / "blobs" / check_digest(digest).replace(":", "/")
            yield from _named(layout, json.loads(path.read_bytes()))
