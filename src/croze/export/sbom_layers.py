"""What an image's main SBOM is told besides: which layer each file is from.

Source: BuildKit `docs/attestations/sbom.md`; SPDX 2.3, File and Package information.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from croze.export.attestations import read_predicate
from croze.export.bundles import is_core
from croze.export.contract import Attestation
from croze.export.layer_files import LayerFiles
from croze.gotypes import gojson
from croze.version import VERSION

SPDX = "https://spdx.dev/Document"
OWN_GENERATOR = "Tool: croze-sbom"
"""Whose packages name the files that they were found by."""

_EVIDENT = "evident-by:"
_TOOL = f"Tool: croze-{VERSION}"


async def supplemented(
    attestation: Attestation, layers: LayerFiles, sessions: Sequence[str]
) -> Attestation:
    """An SPDX attestation that tells the layer of each file, where nobody has said anything of
    that. Other attestations, and what is no SPDX document, stay as they are."""
    if attestation.predicate_type != SPDX or not is_core(attestation):
        return attestation
    data = await read_predicate(attestation, sessions)
    try:
        document = gojson.unmarshal(data, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return attestation
    if not str(document.get("spdxVersion", "")).startswith("SPDX-2."):
        return attestation
    changed = await _with_layers(document, layers)
    return replace(attestation, content=msgspec.json.encode(changed), produce=None, ref=None)


async def _with_layers(document: Mapping[str, object], layers: LayerFiles) -> dict[str, object]:
    files = [await _placed(each, layers) for each in _objects(document.get("files"))]
    comments = {str(f.get("SPDXID", "")): str(f.get("comment", "")) for f in files}
    info = document.get("creationInfo")
    info = dict(info) if isinstance(info, dict) else {}
    listed = info.get("creators")
    creators = listed if isinstance(listed, list) else []
    info["creators"] = [*creators, _TOOL]
    changed = {**document, "creationInfo": info}
    if files:
        changed["files"] = files
    own = any(str(each).startswith(OWN_GENERATOR) for each in creators)
    owners = _owners(document) if own else {}
    packages = [
        _commented(each, comments.get(owners.get(str(each.get("SPDXID")), ""), ""))
        for each in _objects(document.get("packages"))
    ]
    return changed | ({"packages": packages} if packages else {})


async def _placed(file: dict[str, object], layers: LayerFiles) -> dict[str, object]:
    name = file.get("fileName")
    if file.get("comment") or not isinstance(name, str):
        return file
    digest = await layers.find(name)
    return {**file, "comment": f"layerID: {digest}"} if digest else file


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
