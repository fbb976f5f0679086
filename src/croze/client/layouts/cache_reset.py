"""`reset=true` of a local cache: when the new one is there, what only older ones needed goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from croze.errors import InvalidRequest
from croze.files.settings import parse_json, read_settings
from croze.gotypes.booleans import checked_bool
from croze.image.descriptor import INDEX_TYPES, MANIFEST_TYPES
from croze.image.reference import check_digest
from croze.session.layouts import layout_folder, names_in

_READ = MANIFEST_TYPES | INDEX_TYPES


def wants_reset(attrs: dict[str, str]) -> bool:
    """Whether a cache's attributes say `reset=true`. Raises `InvalidRequest` for what is neither
    yes nor no."""
    text = attrs.get("reset")
    return text is not None and checked_bool(text, "failed to parse reset attribute")


def reset(layout: Path) -> None:
    """Delete the blobs that nothing in the layout's `index.json` names, at any depth. Raises
    `OSError`, `ValueError` or `InvalidRequest` if that can't be told: nothing is deleted then."""
    named = _named(layout)
    with layout_folder(layout, "blobs") as blobs:
        algorithms = names_in(blobs)
    for algorithm in algorithms:
        with layout_folder(layout, "blobs", algorithm) as folder:
            for encoded in names_in(folder):
                digest = f"{algorithm}:{encoded}"
                if _is_digest(digest) and digest not in named:
                    os.unlink(encoded, dir_fd=folder)


def _is_digest(text: str) -> bool:
    """What goes by another name is no blob."""
    try:
        check_digest(text)
    except InvalidRequest:
        return False
    return True


def _named(layout: Path) -> set[str]:
    """The digests of all descriptors in the index, and in the manifests and indexes that it names;
    each of these is read once."""
    named: set[str] = set()
    read, rest = set[str](), [layout / "index.json"]
    while rest:
        for descriptor in _descriptors(rest.pop()):
            digest = check_digest(str(descriptor.get("digest")))
            named.add(digest)
            if str(descriptor.get("mediaType")) in _READ and digest not in read:
                read.add(digest)
                rest.append(layout / "blobs" / digest.replace(":", "/"))
    return named


def _descriptors(path: Path) -> Iterator[dict[str, object]]:
    """What a manifest or an index names. Raises `ValueError` for what is neither."""
    value = parse_json(read_settings(path))
    if not isinstance(value, dict):
        raise ValueError(f"{path}: no object")
    config = value.get("config")
    for listed in (value.get("manifests"), value.get("layers"), [config] if config else None):
        if not isinstance(listed, list | None):
            raise ValueError(f"{path}: no list of descriptors")
        for descriptor in listed or ():
            if not isinstance(descriptor, dict):
                raise ValueError(f"{path}: a descriptor that is no object")
            yield descriptor
