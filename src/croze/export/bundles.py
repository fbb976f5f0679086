"""Attestations that a frontend returns: checked, and bundles taken apart.

Source: BuildKit `docs/attestations/attestation-storage.md` and `exporter/attestation`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec.structs import replace

from croze.errors import InvalidRequest
from croze.export.contract import Attestation, NamedSubject
from croze.export.predicates import Unbundled, read_bundle
from croze.gotypes.strings import to_bytes
from croze.workers.pool import Pool

PROVENANCE = "https://slsa.dev/provenance/"
_SBOM_CORE = "sbom-core"


async def from_frontend(
    attestations: Sequence[Attestation], sessions: Sequence[str], pool: Pool
) -> list[Attestation]:
    """Single statements, the main SBOM first; members of what was bundled are sorted. Raises
    `InvalidRequest` for what only the daemon may say, or what can't be read."""
    statements: list[Attestation] = []
    for each in attestations:
        _check(each)
        statements += await _unbundled(each, sessions, pool) if each.bundle else [each]
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
    return name is not None and to_bytes(stem) == name


async def _unbundled(bundle: Attestation, sessions: Sequence[str], pool: Pool) -> list[Attestation]:
    assert bundle.ref is not None
    async with bundle.ref.mounted(readonly=True, sessions=sessions) as root:
        statements = await pool.run(read_bundle, str(root), bundle.path)
    return [_single(bundle, each) for each in statements]


def _single(bundle: Attestation, statement: Unbundled) -> Attestation:
    kind = statement.predicate_type
    if bundle.predicate_type and kind != bundle.predicate_type:
        raise InvalidRequest(
            f"bundle entry {kind} does not match required predicate type {bundle.predicate_type}"
        )
    if kind.startswith(PROVENANCE):
        raise InvalidRequest("frontend may not bundle provenance attestations")
    subjects = [NamedSubject(name, digest) for name, digest in statement.subjects]
    return replace(
        bundle,
        bundle=False,
        predicate_type=kind,
        content=statement.predicate,
        ref=None,
        path=os.path.join(bundle.path, statement.file),
        subjects=subjects or (None,),
    )
