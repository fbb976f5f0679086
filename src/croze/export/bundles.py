"""Attestations that a frontend returns: checked, and bundles taken apart.

Source: BuildKit `docs/attestations/attestation-storage.md` and `exporter/attestation`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from croze.aio.threads import in_thread
from croze.errors import InvalidRequest, ResourceExhausted
from croze.export.contract import Attestation, NamedSubject
from croze.gotypes import gojson

MAX_BYTES = 40 << 20
PROVENANCE = "https://slsa.dev/provenance/"
_SBOM_CORE = "sbom-core"


class _Subject(msgspec.Struct):
    name: str = ""
    digest: Mapping[str, str] = {}


class _BundledStatement(msgspec.Struct):
    predicate_type: str = msgspec.field(default="", name="predicateType")
    subject: list[_Subject] | None = None
    predicate: msgspec.Raw = msgspec.Raw(b"null")


async def from_frontend(
    attestations: Sequence[Attestation], sessions: Sequence[str]
) -> list[Attestation]:
    """Single statements, the main SBOM first; members of what was bundled are sorted. Raises
    `InvalidRequest` for what only the daemon may say, or what can't be read."""
    statements: list[Attestation] = []
    for each in attestations:
        _check(each)
        statements += await _unbundled(each, sessions) if each.bundle else [each]
    return [a for a in statements if is_core(a)] + [a for a in statements if not is_core(a)]


def _check(attestation: Attestation) -> None:
    if attestation.ref is None:
        raise InvalidRequest(
            "no ref provided for attestation bundle"
            if attestation.bundle
            else "attestation does not have available content"
        )
    if not attestation.bundle and not attestation.path:
        raise InvalidRequest("attestation does not have set path")
    if not attestation.bundle and attestation.predicate_type.startswith(PROVENANCE):
        raise InvalidRequest("frontend may not set provenance attestations")


def is_core(attestation: Attestation) -> bool:
    """Whether an attestation is the SBOM of the result itself, not of what was used for it."""
    name = attestation.metadata.get(_SBOM_CORE)
    stem = os.path.basename(attestation.path).partition(".")[0]
    return name is not None and stem.encode() == name


async def _unbundled(bundle: Attestation, sessions: Sequence[str]) -> list[Attestation]:
    assert bundle.ref is not None
    async with bundle.ref.mounted(readonly=True, sessions=sessions) as root:
        files = await in_thread(_read_all, str(root), bundle.path)
    return [_single(bundle, name, data) for name, data in files]


def _read_all(root: str, folder: str) -> list[tuple[str, bytes]]:
    place = _inside(root, folder)
    names = sorted(os.listdir(place))
    return [(name, read_below(root, os.path.join(folder, name))) for name in names]


def _single(bundle: Attestation, name: str, data: bytes) -> Attestation:
    try:
        statement = gojson.unmarshal(data, type=_BundledStatement)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"cannot decode in-toto statement: {error}") from error
    kind = statement.predicate_type
    if bundle.predicate_type and kind != bundle.predicate_type:
        raise InvalidRequest(
            f"bundle entry {kind} does not match required predicate type {bundle.predicate_type}"
        )
    if kind.startswith(PROVENANCE):
        raise InvalidRequest("frontend may not bundle provenance attestations")
    subjects = [NamedSubject(s.name, s.digest) for s in statement.subject or ()]
    return replace(
        bundle,
        bundle=False,
        predicate_type=kind,
        content=gojson.marshal(gojson.unmarshal(statement.predicate)),
        ref=None,
        path=os.path.join(bundle.path, name),
        subjects=subjects or (None,),
    )


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
