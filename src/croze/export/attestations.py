"""Attestations as in-toto statements, and the manifest that carries them.

Source: in-toto Statement v1; BuildKit `docs/attestations/attestation-storage.md`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from croze.export.contract import Attestation, NamedSubject, PlatformResult
from croze.export.predicates import read_below, whole_statement
from croze.gotypes import gojson
from croze.image import config as configs
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.config import ImageConfig, RootFS
from croze.image.descriptor import Descriptor
from croze.image.manifest import EMPTY_CONFIG, Manifest
from croze.image.platform import Platform
from croze.store.contract import BlobStore
from croze.workers.pool import Pool

PAYLOAD_TYPE = "application/vnd.in-toto+json"
ARTIFACT_TYPE = "application/vnd.docker.attestation.manifest.v1+json"
UNKNOWN = Platform("unknown", "unknown")
"""The platform of an attestation manifest's entry in the index."""

PREDICATE_TYPE = "in-toto.io/predicate-type"
"""The annotation of a statement's descriptor."""

_SMALL_BYTES = 64 << 10
"""A predicate that is worked on sooner than a worker is asked."""


def wanted(result: PlatformResult, *, inline: bool) -> list[Attestation]:
    """The attestations that this exporter stores: some are only for exporters that keep them
    inline."""
    return [
        each
        for each in result.attestations
        if inline or each.metadata.get("inline-only", b"false") != b"true"
    ]


async def read_predicate(attestation: Attestation, sessions: Sequence[str], pool: Pool) -> bytes:
    """An attestation's predicate, as it was written. A file is read from its ref, never from
    outside of it."""
    if attestation.produce is not None:
        return await attestation.produce()
    if attestation.ref is None:
        return attestation.content
    async with attestation.ref.mounted(readonly=True, sessions=sessions) as root:
        return await pool.run(read_below, str(root), attestation.path)


async def statement(
    attestation: Attestation,
    about: Sequence[NamedSubject],
    sessions: Sequence[str],
    pool: Pool,
    *,
    indent: bool = False,
) -> bytes:
    """The JSON of the in-toto statement, compact or indented. `about` is the result as the exporter
    names it. Raises `InvalidRequest` for a predicate that is no JSON."""
    predicate = await read_predicate(attestation, sessions, pool)
    subjects = gojson.marshal(
        [
            subject
            for named in attestation.subjects
            for subject in (about if named is None else (named,))
        ]
    )
    kind = attestation.predicate_type
    if len(predicate) + len(subjects) <= _SMALL_BYTES:
        return whole_statement(kind, subjects, predicate, indent=indent)
    return await pool.run(whole_statement, kind, subjects, predicate, indent=indent)


async def write_manifest(
    blobs: BlobStore,
    target: Descriptor,
    statements: Sequence[tuple[str, bytes]],
    *,
    artifact: bool,
    oci: bool,
) -> tuple[Descriptor, list[Descriptor]]:
    """Store the (predicate type, statement) pairs and their manifest; returns its index entry and
    the blobs that it names."""
    layers = [await _write_statement(blobs, kind, each) for kind, each in statements]
    if artifact:
        config, data = EMPTY_CONFIG, b"{}"
    else:
        data = _plain_config([layer.digest for layer in layers])
        config = manifests.describe(data, media.OCI_CONFIG if oci else media.DOCKER_CONFIG)
    value = Manifest(
        media_type=media.OCI_MANIFEST if oci else media.DOCKER_MANIFEST,
        artifact_type=ARTIFACT_TYPE if artifact else msgspec.UNSET,
        config=config,
        layers=tuple(layers),
        subject=(
            Descriptor(target.media_type, target.digest, target.size) if artifact else msgspec.UNSET
        ),
    )
    encoded = manifests.marshal(value)
    await blobs.put(data)
    await blobs.put(encoded)
    descriptor = manifests.describe(encoded, media.OCI_MANIFEST if oci else media.DOCKER_MANIFEST)
    notes = {
        "vnd.docker.reference.digest": target.digest,
        "vnd.docker.reference.type": "attestation-manifest",
    }
    entry = msgspec.structs.replace(descriptor, annotations=notes, platform=UNKNOWN)
    return entry, [config, *layers]


async def _write_statement(blobs: BlobStore, kind: str, data: bytes) -> Descriptor:
    await blobs.put(data)
    return msgspec.structs.replace(
        manifests.describe(data, PAYLOAD_TYPE), annotations={PREDICATE_TYPE: kind}
    )


def _plain_config(diff_ids: Sequence[str]) -> bytes:
    return configs.marshal(
        ImageConfig(
            architecture=UNKNOWN.architecture,
            os=UNKNOWN.os,
            rootfs=RootFS("layers", tuple(diff_ids)),
        )
    )
