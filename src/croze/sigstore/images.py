"""Who signed an image: the attestation of one of its manifests, and the signature of that.

What belongs together, and what is checked of it: moby/policy-helpers.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from msgspec import Struct, UnsetType

from croze.api import gateway_pb2
from croze.digests import digest_of
from croze.errors import CrozeError
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image.descriptor import Descriptor
from croze.image.hardened import is_hardened
from croze.image.manifest import Index, Manifest
from croze.image.platform import Platform
from croze.sigstore import bundle, cosign, keys
from croze.sigstore.bundle import Signed
from croze.sigstore.errors import NotVerified
from croze.sigstore.keys import PublicKey
from croze.sigstore.kinds import BUNDLE, SIMPLE, CheckedSignature
from croze.sigstore.trust import TrustedRoot
from croze.sigstore.verify import verify, verify_by_key

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_TYPE, _DIGEST = "vnd.docker.reference.type", "vnd.docker.reference.digest"
_PREDICATE = "in-toto.io/predicate-type"
SLSA = frozenset({"https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"})
_HARDENED_SINCE_S = 1743595200
"""2025-04-02: Docker's key for hardened images is not older."""
_MANIFESTS = (media.OCI_MANIFEST, media.OCI_INDEX)


class _Chain(Struct, frozen=True):
    blobs: Mapping[str, gateway_pb2.Blob]

    def read(self, digest: str) -> bytes:
        """A blob of the chain, checked against its digest. Raises `NotVerified`."""
        if digest not in self.blobs:
            raise NotVerified(f"reading blob {digest}: not found")
        data = self.blobs[digest].data
        if digest_of(data) != digest:
            raise NotVerified(f"digest mismatch for blob {digest}")
        return data

    def manifest(self, digest: str) -> Manifest:
        try:
            return manifests.parse_manifest(self.read(digest))
        except CrozeError as error:
            raise NotVerified(f"manifest {digest}: {error}") from None


def verify_image(
    chain: gateway_pb2.AttestationChain, platform: Platform, trust: TrustedRoot
) -> CheckedSignature | None:
    """Who signed an image's manifest for a platform; None for an image that nobody signed. Raises
    `NotVerified` for a signature that does not hold, or is of something else."""
    if not (chain.Root and chain.AttestationManifest and chain.SignatureManifests):
        return None
    attached = _Chain(chain.Blobs)
    if chain.Root in attached.blobs:
        kind = attached.blobs[chain.Root].descriptor.media_type
        if kind != media.OCI_INDEX:
            return None
    try:
        index = manifests.parse_index(attached.read(chain.Root))
    except NotVerified:
        raise
    except CrozeError as error:
        raise NotVerified(f"unmarshaling image index: {error}") from None
    image = _image(index, platform)
    hardened = is_hardened(index)
    attestation = _attestation(attached, index, image, chain.AttestationManifest, hardened=hardened)
    signature = _signature(attached, list(chain.SignatureManifests))
    layer = _signed_layer(attached, signature, attestation)
    return _verified(attached, layer, attestation.digest, trust, hardened=hardened)


def _image(index: Index, platform: Platform) -> Descriptor:
    images = manifests.candidates(index, platforms.only(platform))
    if not images:
        raise NotVerified(f"no manifest for platform {platforms.format(platform)}")
    return images[0]


def _attestation(
    chain: _Chain, index: Index, image: Descriptor, digest: str, *, hardened: bool
) -> Descriptor:
    """The attestation's descriptor. It must be of the image, and hold provenance."""
    own = next((each for each in index.manifests if _attests(each, image.digest)), None)
    if not hardened and (own is None or own.digest != digest):
        raise NotVerified(f"attestation manifest digest mismatch: {digest} is not the index's")
    manifest = chain.manifest(digest)
    _check_subject("attestation", digest, manifest.subject, image.digest, image.size)
    layers = manifest.layers or ()
    if not any(layer.annotations.get(_PREDICATE) in SLSA for layer in layers):
        raise NotVerified(f"attestation manifest {digest} has no SLSA provenance layer")
    return own or Descriptor(media.OCI_MANIFEST, digest, len(chain.read(digest)))


def _attests(entry: Descriptor, image: str) -> bool:
    notes = entry.annotations
    return notes.get(_TYPE) == "attestation-manifest" and notes.get(_DIGEST) == image


def _check_subject(
    what: str, digest: str, subject: Descriptor | UnsetType | None, expected: str, size: int
) -> None:
    if not isinstance(subject, Descriptor):
        raise NotVerified(f"{what} manifest {digest} has no subject")
    if subject.digest != expected or subject.size != size or subject.media_type not in _MANIFESTS:
        raise NotVerified(f"{what} manifest {digest}: its subject is not {expected}")


def _signature(chain: _Chain, digests: list[str]) -> tuple[str, Manifest]:
    """The one that counts: bundles come first."""
    signatures = [(digest, chain.manifest(digest)) for digest in digests if digest in chain.blobs]
    if not signatures:
        raise NotVerified("no signature manifest found")
    return min(signatures, key=lambda each: each[1].artifact_type != _BUNDLE)


def _signed_layer(
    chain: _Chain, signature: tuple[str, Manifest], attestation: Descriptor
) -> Descriptor:
    digest, manifest = signature
    _check_subject("signature", digest, manifest.subject, attestation.digest, attestation.size)
    if not manifest.layers:
        raise NotVerified(f"signature manifest {digest} has 0 layers, expected 1")
    layer = manifest.layers[0]
    if layer.media_type == _BUNDLE and manifest.artifact_type != _BUNDLE:
        raise NotVerified(f"signature manifest {digest} is not a bundle")
    return layer


def _verified(
    chain: _Chain, layer: Descriptor, attestation: str, trust: TrustedRoot, *, hardened: bool
) -> CheckedSignature:
    data = chain.read(layer.digest)
    match layer.media_type:
        case kind if kind == _BUNDLE:
            signed, of, form, reference = bundle.parse(data), attestation, BUNDLE, ""
        case cosign.LAYER:
            payload = cosign.payload(data)
            if payload.digest != attestation:
                raise NotVerified(f"simple signing payload is of {payload.digest}")
            signed = cosign.signed(layer, by_certificate=not hardened)
            of, form, reference = layer.digest, SIMPLE, payload.reference
        case other:
            raise NotVerified(f"signature layer has invalid media type {other}")
    if not hardened:
        return CheckedSignature(verify(signed, of, trust), form, reference)
    return _by_docker(signed, of, form, reference, trust, logged=cosign.is_logged(layer))


def dockers_key() -> PublicKey:
    """The key by which Docker signs its hardened images."""
    data = resources.files("croze.sigstore").joinpath("instance/dhi.pub").read_bytes()
    return keys.of_pem(data)


def _by_docker(
    signed: Signed, of: str, form: str, reference: str, trust: TrustedRoot, *, logged: bool
) -> CheckedSignature:
    if signed.certificate is not None:
        raise NotVerified("a hardened image must be signed by Docker's key, not a certificate")
    verified = verify_by_key(signed, of, trust, dockers_key(), witnessed=logged)
    if any(each.moment.timestamp() < _HARDENED_SINCE_S for each in verified.witnesses):
        raise NotVerified("signature time outside of public key validity window")
    return CheckedSignature(verified, form, reference, hardened=True)
