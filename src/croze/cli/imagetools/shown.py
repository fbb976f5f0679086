"""An image as `inspect` shows it: a summary, or a value that templates see as buildx's.

Sources: buildx `util/imagetools/printers.go`; the Go types of the OCI image-spec for names, order
and what is left out of JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.gotypes.tabwriter import align
from croze.gotypes.template import Fields, GoDigest, GoTime, Nil, TypedMap
from croze.gotypes.template.functions import in_order
from croze.image import platform as platforms
from croze.image.config import HistoryEntry, ImageConfig, RunConfig
from croze.image.descriptor import Descriptor
from croze.image.manifest import Index
from croze.image.platform import Platform
from croze.imagetools.location import Location

_INDENT = "  "
_IMAGE = "*v1.Image"
T = TypeVar("T")
_EMBEDDED = ","
"""The name in JSON of a struct whose fields stand among the outer one's."""


def summary(location: Location, root: Descriptor, index: Index | None) -> str:
    """Name, type and digest, and the manifests of an index."""
    head = f"Name:\t{location}\nMediaType:\t{root.media_type}\nDigest:\t{root.digest}\n"
    text = align(head)
    if index is not None:
        text += align("\t\nManifests:\t\n") + _entries(location, index.manifests)
    return text


def _entries(location: Location, entries: Sequence[Descriptor]) -> str:
    """Columns end where annotations come: those have columns of their own."""
    out: list[str] = []
    lines: list[str] = []
    for at, entry in enumerate(entries):
        lines += ["\t\n"] if at else []
        lines += _entry(location, entry)
        if entry.platform is not None and entry.annotations:
            out.append(align("".join(lines)))
            lines = []
            rows = (f"{_INDENT * 2}{k}:\t{v}\n" for k, v in sorted(entry.annotations.items()))
            out.append(align("".join(rows)))
    return "".join(out) + align("".join(lines))


def _entry(location: Location, entry: Descriptor) -> list[str]:
    rows = [
        ("Name", str(location.with_digest(entry.digest))),
        ("MediaType", entry.media_type),
    ]
    platform = entry.platform
    if platform is not None:
        rows.append(("Platform", platforms.format(platform)))
        if platform.os_version:
            rows.append(("OSVersion", platform.os_version))
        if platform.os_features:
            rows.append(("OSFeatures", ", ".join(platform.os_features)))
        if entry.urls:
            rows.append(("URLs", ", ".join(entry.urls)))
        if entry.annotations:
            rows.append(("Annotations", ""))
    return [f"{_INDENT}{name}:\t{value}\n" for name, value in rows]


def json(value: object) -> str:
    """The template function, which indents."""
    return gojson.marshal_indent_as_is(in_order(value)).decode()


def template_value(
    name: str,
    root: Descriptor,
    index: Index | None,
    images: Mapping[str, ImageConfig],
    *,
    sbom: Mapping[str, Sequence[object]],
    provenance: Mapping[str, Sequence[object]],
) -> Fields:
    """What templates see of an image. With several platforms, all but name and manifest are maps by
    platform."""
    manifest = _descriptor(root) if index is None else _index(root, index)
    by_platform = _by_platform(_image, images, Nil(_IMAGE))
    sboms = _by_platform(_sbom, sbom, _sbom(()))
    provenances = _by_platform(_provenance, provenance, _provenance(()))
    several = len(images) > 1
    image = by_platform if several else next(iter(by_platform.values()), Nil(_IMAGE))
    members: dict[str, object] = {"name": name, "manifest": manifest}
    if image:
        members["image"] = image
    return Fields(
        {
            "Name": name,
            "Manifest": manifest,
            "Image": image,
            "SBOM": sboms if several else next(iter(sboms.values()), sboms.absent),
            "Provenance": (
                provenances if several else next(iter(provenances.values()), provenances.absent)
            ),
        },
        "imagetools.tplInputs" if several else "imagetools.tplInput",
        members,
    )


def _by_platform(
    of: Callable[[T], object], sources: Mapping[str, T], absent: Fields | Nil
) -> TypedMap:
    values = {text: of(one) for text, one in sources.items()}
    return TypedMap(values, absent.type_name, absent)


def _sbom(documents: Sequence[object]) -> Fields:
    """The first document, and others."""
    first, others = (documents[0] if documents else None), list(documents[1:])
    return _struct(
        "imagetools.sbomStub",
        ("SPDX", "", first),
        ("AdditionalSPDXs", "", others),
    )


def _provenance(documents: Sequence[object]) -> Fields:
    return _struct("imagetools.provenanceStub", ("SLSA", "", documents[-1] if documents else None))


def _struct(type_name: str, *fields: tuple[str, str, object], always: Sequence[str] = ()) -> Fields:
    """A struct's fields, each of name, name in JSON (the same if empty) and value. Empty values are
    left out of the JSON unless they are `always` there. The fields of a struct that is `EMBEDDED`
    are the outer one's, too."""
    members: dict[str, object] = {}
    promoted: dict[str, object] = {}
    for name, json_name, value in fields:
        if json_name == _EMBEDDED and isinstance(value, Fields):
            members.update(value.members or value)
            promoted.update(value)
        elif name in always or value or isinstance(value, Fields):
            members[json_name or name] = value
    return Fields({name: value for name, _, value in fields}, type_name, members, promoted)


def _index(root: Descriptor, index: Index) -> Fields:
    media_type = index.media_type if isinstance(index.media_type, str) else ""
    annotations = index.annotations if isinstance(index.annotations, dict) else {}
    return _struct(
        "struct",
        ("SchemaVersion", "schemaVersion", index.schema_version),
        ("MediaType", "mediaType", media_type),
        ("Digest", "digest", GoDigest(root.digest)),
        ("Size", "size", root.size),
        ("Manifests", "manifests", [_descriptor(one) for one in index.manifests]),
        ("Annotations", "annotations", _texts(annotations)),
        always=("SchemaVersion", "Digest", "Size", "Manifests"),
    )


def _descriptor(one: Descriptor) -> Fields:
    return _struct(
        "v1.Descriptor",
        ("MediaType", "mediaType", one.media_type),
        ("Digest", "digest", GoDigest(one.digest)),
        ("Size", "size", one.size),
        ("URLs", "urls", list(one.urls)),
        ("Annotations", "annotations", _texts(one.annotations)),
        ("Data", "data", one.data or []),
        (
            "Platform",
            "platform",
            _platform(one.platform, "*v1.Platform") if one.platform else Nil("*v1.Platform"),
        ),
        ("ArtifactType", "artifactType", one.artifact_type or ""),
        always=("MediaType", "Digest", "Size"),
    )


def _platform(one: Platform, type_name: str) -> Fields:
    return _struct(
        type_name,
        ("Architecture", "architecture", one.architecture),
        ("OS", "os", one.os),
        ("OSVersion", "os.version", one.os_version),
        ("OSFeatures", "os.features", list(one.os_features)),
        ("Variant", "variant", one.variant),
        always=("Architecture", "OS"),
    )


def _time(text: str | None) -> GoTime | Nil:
    """A time of a config. Raises `InvalidRequest`."""
    if not text:
        return Nil("*time.Time")
    try:
        return GoTime.parse(text)
    except ValueError as error:
        raise InvalidRequest(f"invalid time {text!r} in an image's config: {error}") from None


def _image(one: ImageConfig) -> Fields:
    rootfs = _struct(
        "v1.RootFS",
        ("Type", "type", one.rootfs.type),
        (
            "DiffIDs",
            "diff_ids",
            None if one.rootfs.diff_ids is None else [GoDigest(each) for each in one.diff_ids],
        ),
        always=("Type", "DiffIDs"),
    )
    return _struct(
        _IMAGE,
        ("Created", "created", _time(one.created)),
        ("Author", "author", one.author),
        ("Platform", _EMBEDDED, _platform(one.platform, "v1.Platform")),
        ("Config", "config", _run_config(one.config)),
        ("RootFS", "rootfs", rootfs),
        ("History", "history", [_history(entry) for entry in one.history]),
    )


def _run_config(one: RunConfig) -> Fields:
    return _struct(
        "v1.ImageConfig",
        ("User", "", one.user),
        ("ExposedPorts", "", _set(one.exposed_ports)),
        ("Env", "", list(one.env)),
        ("Entrypoint", "", list(one.entrypoint)),
        ("Cmd", "", list(one.cmd)),
        ("Volumes", "", _set(one.volumes)),
        ("WorkingDir", "", one.working_dir),
        ("Labels", "", _texts(one.labels)),
        ("StopSignal", "", one.stop_signal),
        ("ArgsEscaped", "", one.args_escaped),
    )


def _set(names: Iterable[str]) -> dict[str, object]:
    """A set of names as Go keeps it: a map to structs that hold nothing."""
    nothing = Fields({}, "struct {}")
    return TypedMap(dict.fromkeys(names, nothing), nothing.type_name, nothing)


def _texts(by_name: Mapping[str, str]) -> TypedMap:
    return TypedMap(by_name, "string", "")


def _history(one: HistoryEntry) -> Fields:
    return _struct(
        "v1.History",
        ("Created", "created", _time(one.created)),
        ("CreatedBy", "created_by", one.created_by),
        ("Author", "author", one.author),
        ("Comment", "comment", one.comment),
        ("EmptyLayer", "empty_layer", one.empty_layer),
    )
