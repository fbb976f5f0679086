"""The `index.json` of an OCI layout directory: look names up, put images in.

Sources: OCI image-layout specification; BuildKit `client/ociindex` for the annotations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from croze.errors import InvalidRequest, NotFound, os_reason
from croze.files.atomic import umasked, write_atomically
from croze.files.settings import parse_json, read_settings
from croze.session.directories import make_directory
from croze.session.layouts import index_to_read, index_to_write

IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"

Descriptor = dict[str, object]


def parse(value: str) -> tuple[str, str, str]:
    """Path, tag and digest of an `oci-layout://` reference; `latest` if it has neither."""
    path, tag, digest = value.removeprefix("oci-layout://"), "", ""
    head, at, tail = path.rpartition("@")
    if at and re.fullmatch(r"[A-Za-z][\w+.-]*:[0-9a-fA-F]{32,}", tail):
        path, digest = head, tail
    head, colon, tail = path.rpartition(":")
    if colon and re.fullmatch(r"\w[\w.-]{0,127}", tail):
        path, tag = head, tail
    return path, tag or ("" if digest else "latest"), digest


def resolve(layout: Path, tag: str) -> str:
    """The digest a name or tag stands for; if there is but one image, that one's."""
    entry = find(layout, tag)
    if entry is not None:
        return entry
    entries = manifests(layout)
    if len(entries) == 1:
        return str(entries[0]["digest"])
    raise NotFound("failed to resolve digest")


def find(layout: Path, tag: str) -> str | None:
    """The digest that goes by this very name or tag."""
    entry = descriptor(layout, tag)
    return None if entry is None else str(entry["digest"])


def descriptor(layout: Path, tag: str) -> Descriptor | None:
    """What goes by this very name, or else by this tag."""
    entries = manifests(layout)
    for annotation in (IMAGE_NAME, REF_NAME):
        for entry in entries:
            if _annotations(entry).get(annotation) == tag:
                return entry
    return None


def manifests(layout: Path) -> list[Descriptor]:
    """All entries of the index. Raises `NotFound`, `InvalidRequest`, and `Unavailable` when another
    process keeps it locked."""
    path = layout / "index.json"
    try:
        with index_to_read(layout):
            return _parsed(path, read_settings(path))[1]
    except OSError as error:
        reason = f"open {path}: {os_reason(error)}"
        raise NotFound(f"could not read {path}: {reason}") from None


def _parsed(path: Path, data: bytes) -> tuple[dict[str, object], list[Descriptor]]:
    """An index, and the entries in it. Raises `InvalidRequest` for what is none."""
    try:
        index = parse_json(data)
    except ValueError as error:
        raise InvalidRequest(f"could not unmarshal {path}: {error}") from None
    entries = (index.get("manifests") or []) if isinstance(index, dict) else None
    if not isinstance(entries, list) or not all(map(_is_descriptor, entries)):
        raise InvalidRequest(f"could not unmarshal {path}: it is no index of images")
    return index, entries


def _is_descriptor(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("digest"), str)
        and isinstance(value.get("annotations"), dict | None)
    )


def _annotations(descriptor: Descriptor) -> dict[str, str]:
    annotations = descriptor.get("annotations")
    return annotations if isinstance(annotations, dict) else {}


def put(layout: Path, descriptor: Descriptor, *, tag: str = "", names: Sequence[str] = ()) -> None:
    """Enter an image under a tag or under names; others of the same name go. Nothing is written
    that is there already. Raises `Unavailable` when somebody else keeps the layout locked."""
    make_directory(layout, 0o755)
    with index_to_write(layout):
        _write(layout / "oci-layout", {"imageLayoutVersion": "1.0.0"})
        index = _index(layout / "index.json")
        entries_to_add = [("", tag)] if tag else [(name, _reference_name(name)) for name in names]
        manifests = index["manifests"]
        assert isinstance(manifests, list)
        for image, reference in entries_to_add:
            manifests[:] = [d for d in manifests if not _goes_by(d, image, reference)]
            manifests.append(_named(descriptor, image, reference))
        if not entries_to_add and descriptor not in manifests:
            manifests.append(descriptor)
        _write(layout / "index.json", index)


def _index(path: Path) -> dict[str, object]:
    """The index to write to: a new one, where there is none or an empty file."""
    try:
        data = read_settings(path)
    except FileNotFoundError:
        data = b""
    index, entries = _parsed(path, data or b"{}")
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        **index,
        "manifests": list(entries),
    }


def _goes_by(descriptor: Descriptor, image: str, reference: str) -> bool:
    annotations = _annotations(descriptor)
    return annotations.get(REF_NAME, "") == reference and annotations.get(IMAGE_NAME, "") == image


def _named(descriptor: Descriptor, image: str, reference: str) -> Descriptor:
    extra = {IMAGE_NAME: image, REF_NAME: reference} if image else {REF_NAME: reference}
    return {**descriptor, "annotations": {**_annotations(descriptor), **extra}}


def _reference_name(name: str) -> str:
    """The tag of an image name, `latest` if it has none."""
    last = name.rpartition("/")[2]
    return last.partition(":")[2].partition("@")[0] or "latest"


def _write(path: Path, value: object) -> None:
    data = json.dumps(value, separators=(",", ":")).encode()
    try:
        if read_settings(path) == data:
            return
    except OSError:
        pass  # not there, or not to be read: written anew
    write_atomically(path, data, umasked(0o644))
