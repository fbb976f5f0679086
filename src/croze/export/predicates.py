"""What frontends and scanners have written about a result, as far as it is read.

It may be anything, and tens of megabytes of it: a list of empty lists takes twenty times as much in
memory, and what is nested deeply grows without bounds when it is indented. All this runs in worker
processes, which have their bounds (`workers.inside`) and hold up nobody.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from croze.errors import InvalidRequest, ResourceExhausted
from croze.gotypes import gojson

MAX_BYTES: Final = 40 << 20
"""One statement, as BuildKit has it."""
MOST_BYTES: Final = 256 << 20
"""All that one bundle has, which are held together; and one statement as it is written, besides its
subjects."""
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"


class _Subject(Struct):
    name: str = ""
    digest: Mapping[str, str] = {}


class _BundledStatement(Struct):
    predicate_type: str = msgspec.field(default="", name="predicateType")
    subject: list[_Subject] | None = None
    predicate: msgspec.Raw = msgspec.Raw(b"null")


class _Statement(Struct, frozen=True):
    """An in-toto statement. `subject` and `predicate` are JSON already and stay as they are."""

    type: str = msgspec.field(name="_type")
    predicate_type: str = msgspec.field(name="predicateType")
    subject: msgspec.Raw
    predicate: msgspec.Raw


class Unbundled(Struct, frozen=True):
    """One statement of a bundle; its subjects are pairs of a name and digests by algorithm."""

    file: str
    predicate_type: str
    subjects: Sequence[tuple[str, Mapping[str, str]]]
    predicate: bytes


def read_bundle(root: str, folder: str) -> list[Unbundled]:
    """All statements in a directory below `root`. Raises `InvalidRequest` for what is none, and
    `ResourceExhausted` for too much."""
    statements: list[Unbundled] = []
    size_bytes = 0
    for name in sorted(os.listdir(_inside(root, folder))):
        statement = _unbundled(name, read_below(root, os.path.join(folder, name)))
        size_bytes += len(statement.predicate)
        if size_bytes > MOST_BYTES:
            raise ResourceExhausted(f"the statements in {folder} exceed {MOST_BYTES} bytes")
        statements.append(statement)
    return statements


def _unbundled(name: str, data: bytes) -> Unbundled:
    try:
        statement = gojson.unmarshal(data, type=_BundledStatement)
        predicate = gojson.marshal_any(gojson.unmarshal(statement.predicate))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"cannot decode in-toto statement: {error}") from error
    subjects = [(each.name, each.digest) for each in statement.subject or ()]
    return Unbundled(name, statement.predicate_type, subjects, predicate)


def read_below(root: str, path: str) -> bytes:
    """A file's bytes, `MAX_BYTES` at most, never one outside of `root`."""
    place = _inside(root, path)
    if not os.path.isfile(place):
        raise InvalidRequest(f"{path} is not a regular file")
    with open(place, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ResourceExhausted(f"{path} exceeds {MAX_BYTES} bytes")
    return data


def _inside(root: str, path: str) -> str:
    place, top = os.path.realpath(os.path.join(root, path.lstrip("/"))), os.path.realpath(root)
    if os.path.commonpath([place, top]) != top:
        raise InvalidRequest(f"{path} leaves the attestation's directory")
    return place


def whole_statement(kind: str, subjects: bytes, predicate: bytes, *, indent: bool) -> bytes:
    """The JSON of a statement, of subjects and a predicate that are JSON already. Raises
    `InvalidRequest` for what is none, and `ResourceExhausted` for too much."""
    try:
        compact = msgspec.json.format(predicate or b"null", indent=-1)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"failed to marshal attestation: {error}") from error
    value = _Statement(STATEMENT_TYPE, kind, msgspec.Raw(subjects), msgspec.Raw(compact))
    data = gojson.marshal_indent(value) if indent else gojson.marshal(value)
    if len(data) - len(subjects) > MOST_BYTES:
        raise ResourceExhausted(f"an attestation exceeds {MOST_BYTES} bytes when it is written")
    return data


def spdx_files(data: bytes) -> set[str] | None:
    """The names of the files that an SPDX document says nothing more of; None for what is no such
    document."""
    document = _spdx(data)
    if document is None:
        return None
    files = (each for each in _objects(document.get("files")) if not each.get("comment"))
    return {name for each in files if isinstance(name := each.get("fileName"), str)}


def spdx_with_layers(data: bytes, layers: Mapping[str, str], own: str, tool: str) -> bytes:
    """An SPDX document that tells the layers of files, by their names. `tool` was at work; of what
    a creator has made whose name begins with `own`, packages tell the layer of the file that they
    were found by, too."""
    document = _spdx(data)
    assert document is not None
    files = [_placed(each, layers) for each in _objects(document.get("files"))]
    comments = {str(f.get("SPDXID", "")): str(f.get("comment", "")) for f in files}
    info = document.get("creationInfo")
    info = dict(info) if isinstance(info, dict) else {}
    listed = info.get("creators")
    creators = listed if isinstance(listed, list) else []
    info["creators"] = [*creators, tool]
    changed = {**document, "creationInfo": info}
    if files:
        changed["files"] = files
    owners = _owners(document) if any(str(each).startswith(own) for each in creators) else {}
    packages = [
        _commented(each, comments.get(owners.get(str(each.get("SPDXID")), ""), ""))
        for each in _objects(document.get("packages"))
    ]
    return msgspec.json.encode(changed | ({"packages": packages} if packages else {}))


_EVIDENT = "evident-by:"


def _spdx(data: bytes) -> dict[str, object] | None:
    try:
        document: dict[str, object] = gojson.unmarshal(data, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return None
    is_ours = str(document.get("spdxVersion", "")).startswith("SPDX-2.")
    return document if is_ours else None


def _placed(file: dict[str, object], layers: Mapping[str, str]) -> dict[str, object]:
    name = file.get("fileName")
    if file.get("comment") or not isinstance(name, str) or name not in layers:
        return file
    return {**file, "comment": f"layerID: {layers[name]}"}


def _owners(document: Mapping[str, object]) -> dict[str, str]:
    """The file that a package was found by, by the package's id."""
    return {
        str(each.get("spdxElementId")): str(each.get("relatedSpdxElement"))
        for each in _objects(document.get("relationships"))
        if str(each.get("comment")).startswith(_EVIDENT)
    }


def _commented(package: dict[str, object], comment: str) -> dict[str, object]:
    return {**package, "comment": comment} if comment and not package.get("comment") else package


def _objects(value: object) -> list[dict[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
