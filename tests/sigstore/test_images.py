"""Who signed an image, and that it is this image."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from croze.api import gateway_pb2
from croze.image.platform import Platform
from croze.sigstore import images, trust
from croze.sigstore.errors import NotVerified
from croze.sigstore.images import verify_image
from croze.sigstore.kinds import CheckedSignature
from tests.support.signed_images import SignedImage, make_image
from tests.support.sigstore import Instance

AMD64 = Platform("amd64", "linux")


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Instance()


def chain_of(image: SignedImage) -> gateway_pb2.AttestationChain:
    """As a daemon tells of it."""
    chain = gateway_pb2.AttestationChain(
        Root=image.root,
        ImageManifest=image.image,
        AttestationManifest=image.attestation,
        SignatureManifests=[image.signature] if image.signature else [],
    )
    for digest, data in image.blobs.items():
        blob = chain.Blobs[digest]
        blob.data = data
        blob.descriptor.digest = digest
        blob.descriptor.size = len(data)
        blob.descriptor.media_type = image.types.get(digest, "")
    return chain


def checked(
    instance: Instance, image: SignedImage, platform: Platform = AMD64
) -> CheckedSignature | None:
    root = trust.parse(json.dumps(instance.trusted_root()).encode())
    return verify_image(chain_of(image), platform, root)


@pytest.mark.parametrize("simple", [False, True], ids=["bundle", "simple signing"])
def test_signed(instance: Instance, simple: bool) -> None:
    image = make_image()
    image.sign(instance, simple=simple)
    found = checked(instance, image)
    assert found is not None
    document = found.document()
    assert document["kind"] == "self-signed-github-repo"
    assert document["type"] == ("simplesigning-v1" if simple else "bundle-v0.3")
    assert document.get("dockerReference") == ("registry/app" if simple else None)


def test_nobody_signed(instance: Instance) -> None:
    assert checked(instance, make_image()) is None


@pytest.mark.parametrize("simple", [False, True], ids=["bundle", "simple signing"])
def test_a_signature_of_another_image(instance: Instance, simple: bool) -> None:
    image, other = make_image(), make_image(b'{"other": 1}')
    image.blobs |= other.blobs
    image.sign(instance, simple=simple, of=other.attestation)
    with pytest.raises(NotVerified):
        checked(instance, image)


def test_an_attestation_of_another_image(instance: Instance) -> None:
    """The index says that it is of this image; its own subject is another."""
    image, other = make_image(), make_image(b'{"other": 1}')
    index = json.loads(image.blobs[image.root])
    index["manifests"][1]["digest"] = other.attestation
    index["manifests"][1]["size"] = len(other.blobs[other.attestation])
    image.blobs |= other.blobs
    image.types |= other.types
    image.attestation = other.attestation
    image.root = image.add(json.dumps(index).encode(), image.types[image.root])
    image.sign(instance)
    with pytest.raises(NotVerified, match="its subject is not"):
        checked(instance, image)


def test_another_platform(instance: Instance) -> None:
    image = make_image()
    image.sign(instance)
    with pytest.raises(NotVerified, match="no manifest for platform linux/s390x"):
        checked(instance, image, Platform("s390x", "linux"))


def test_bytes_that_are_not_what_they_are_called(instance: Instance) -> None:
    for part in ("root", "attestation", "signature"):
        image = make_image()
        image.sign(instance)
        image.blobs[getattr(image, part)] += b" "
        with pytest.raises(NotVerified, match="digest mismatch"):
            checked(instance, image)


def test_a_hardened_image_is_signed_by_dockers_key(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(images.dockers_key(), ec.EllipticCurvePublicKey)
    key = ec.generate_private_key(ec.SECP256R1())
    monkeypatch.setattr(images, "dockers_key", key.public_key)
    image = make_image(hardened=True)
    image.sign(instance, simple=True, key=key)
    found = checked(instance, image)
    assert found is not None
    document = found.document()
    assert document["kind"] == "docker-hardened-image"
    assert document["isDHI"] is True
    assert document["dockerReference"] == "registry/app"
    assert "signer" not in document
    monkeypatch.undo()
    with pytest.raises(NotVerified):
        checked(instance, image)


def test_an_image_that_calls_itself_hardened_needs_dockers_key(instance: Instance) -> None:
    image = make_image(hardened=True)
    image.sign(instance)
    with pytest.raises(NotVerified, match="Docker's key"):
        checked(instance, image)
    image.sign(instance, simple=True)
    with pytest.raises(NotVerified):
        checked(instance, image)
