"""What an image's main SBOM is told besides: which layer each file is from.

Source: BuildKit `docs/attestations/sbom.md`; SPDX 2.3, File and Package information.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from croze.export.attestations import read_predicate
from croze.export.bundles import is_core
from croze.export.contract import Attestation
from croze.export.layer_files import LayerFiles
from croze.export.predicates import spdx_files, spdx_with_layers
from croze.version import VERSION
from croze.workers.pool import Pool

SPDX = "https://spdx.dev/Document"
OWN_GENERATOR = "Tool: croze-sbom"
"""Whose packages name the files that they were digests by."""

_TOOL = f"Tool: croze-{VERSION}"


async def supplemented(
    attestation: Attestation, layers: LayerFiles, sessions: Sequence[str], pool: Pool
) -> Attestation:
    """An SPDX attestation that tells the layer of each file, where nobody has said anything of
    that. Other attestations, and what is no SPDX document, stay as they are."""
    if attestation.predicate_type != SPDX or not is_core(attestation):
        return attestation
    data = await read_predicate(attestation, sessions, pool)
    names = await pool.run(spdx_files, data)
    if names is None:
        return attestation
    digests = await layers.of(names)
    content = await pool.run(spdx_with_layers, data, digests, OWN_GENERATOR, _TOOL)
    return replace(attestation, content=content, produce=None, ref=None)
