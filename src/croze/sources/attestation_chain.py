"""How an image's attestations hang together: index, attestation manifest, who signed that.

For policies that check where an image comes from. What belongs to a chain: BuildKit
`source/containerimage` and the policy-helpers that it uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from croze.errors import CrozeError, NotFound
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import reference
from croze.image.bounds import ContentsBound
from croze.image.descriptor import Descriptor
from croze.image.hardened import is_hardened
from croze.image.platform import Platform
from croze.image.reference import Reference
from croze.registry.referrers import referrers
from croze.sources.content import ImageContents
from croze.sources.images import Images, parse_mode
from croze.store.contract import BlobStore

_TYPE, _DIGEST = "vnd.docker.reference.type", "vnd.docker.reference.digest"
_PREDICATE = "in-toto.io/predicate-type"
_STATEMENTS = "application/vnd.in-toto+json"
_SLSA = ("https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1")
_SIGNATURES = (
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.cosign.artifact.sig.v1+json",
)
"""Artifact types of signatures, the one that is preferred first."""


class ChainBlob(Struct, frozen=True):
    """One blob of a chain, with its bytes."""

    descriptor: Descriptor
    data: bytes


class AttestationChain(Struct, frozen=True):
    """Digests, empty where there is none; `blobs` holds what it takes to check them."""

    root: str
    image_manifest: str
    attestation_manifest: str = ""
    signature_manifests: tuple[str, ...] = ()
    blobs: Mapping[str, ChainBlob] = field(default_factory=dict)


async def resolve_chain(
    images: Images,
    ref: str,
    platform: Platform | None,
    mode: str,
    predicate_types: Sequence[str],
    sessions: Sequence[str],
) -> AttestationChain | None:
    """The chain; None for what can have no attestations. Of the statements, those of the given
    types are brought in."""
    parsed = reference.parse(ref).tagged()
    image = await images.pull(parsed, platform, parse_mode(mode), sessions)
    if image.root.media_type != media.OCI_INDEX:
        return None
    reader = _ChainReader(images.provider(parsed), images.blobs, sessions)
    index = manifests.parse_index(await reader.read(image.root))
    if is_hardened(index):
        attestation = await _hardened(images, parsed, image.manifest.digest, sessions)
    else:
        attestation = _attestation_of(index, image.manifest.digest)
    if attestation is None:
        return AttestationChain(image.root.digest, image.manifest.digest, blobs=reader.seen)
    statements = manifests.parse_manifest(await reader.read(attestation)).layers or ()
    signature = await _signature(images, parsed, attestation.digest, sessions)
    if signature is not None:
        for layer in manifests.parse_manifest(await reader.read(signature)).layers or ():
            await reader.read(layer)
    for statement in statements:
        if statement.annotations.get(_PREDICATE) in predicate_types:
            await reader.read(statement)
    return AttestationChain(
        image.root.digest,
        image.manifest.digest,
        attestation.digest,
        (signature.digest,) if signature else (),
        reader.seen,
    )


class _ChainReader:
    """Reads through the blob store, and remembers what it has read."""

    def __init__(self, provider: ImageContents, blobs: BlobStore, sessions: Sequence[str]) -> None:
        self._provider = provider
        self._blobs = blobs
        self._sessions = sessions
        self._bound = ContentsBound()
        self.seen: dict[str, ChainBlob] = {}

    async def read(self, descriptor: Descriptor) -> bytes:
        try:
            if self._blobs.has(descriptor.digest):
                data = self._blobs.read(descriptor.digest)
            else:
                data = await self._provider.read(descriptor, self._sessions)
        except CrozeError as err:
            raise err.wrap(f"reading blob {descriptor.digest}") from None
        self.seen[descriptor.digest] = ChainBlob(descriptor, self._bound.add(data))
        return data


def _attestation_of(index: manifests.Index, image: str) -> Descriptor | None:
    for entry in index.manifests:
        notes = entry.annotations
        if notes.get(_TYPE) == "attestation-manifest" and notes.get(_DIGEST) == image:
            return entry
    return None


async def _hardened(
    images: Images, ref: Reference, image: str, sessions: Sequence[str]
) -> Descriptor | None:
    """Provenance that refers to a manifest of a Docker Hardened Image."""
    for each in await _referring(images, ref, image, sessions):
        if each.artifact_type == _STATEMENTS and each.annotations.get(_PREDICATE) in _SLSA:
            return each
    if images.local(ref) is not None:
        return None
    raise NotFound(f"no attestation referrers found for DHI manifest {image}")


async def _referring(
    images: Images, ref: Reference, digest: str, sessions: Sequence[str]
) -> Sequence[Descriptor]:
    """What refers to an image: nothing does to one that is only here."""
    try:
        return await referrers(images.access.repository(ref, sessions), digest)
    except CrozeError:
        if images.local(ref) is None:
            raise
        return ()


async def _signature(
    images: Images, ref: Reference, attestation: str, sessions: Sequence[str]
) -> Descriptor | None:
    signature = await _referring(images, ref, attestation, sessions)
    signatures = [each for each in signature if each.artifact_type in _SIGNATURES]
    return min(signatures, key=lambda s: _SIGNATURES.index(s.artifact_type or ""), default=None)
