"""Images with attestations, in a real registry."""

from __future__ import annotations

import msgspec
import pytest

from croze.errors import NotFound
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.image.manifest import EMPTY_CONFIG, Index, Manifest
from croze.image.platform import Platform
from croze.sources.attestation_chain import AttestationChain, resolve_chain
from tests.registry.blobs import Folder
from tests.sources.rig import Rig, add_image
from tests.sources.uploads import upload

pytestmark = pytest.mark.root

AMD = Platform("amd64", "linux")
SLSA = "https://slsa.dev/provenance/v1"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def add_manifest(content: Folder, *layers: Descriptor, artifact_type: str = "") -> Descriptor:
    content.add(b"{}", media.OCI_EMPTY)
    value = Manifest(media_type=media.OCI_MANIFEST, config=EMPTY_CONFIG, layers=layers)
    value = msgspec.structs.replace(value, artifact_type=artifact_type or msgspec.UNSET)
    return content.add(manifests.marshal(value), media.OCI_MANIFEST)


def statement(content: Folder, text: bytes, predicate: str) -> Descriptor:
    notes = {"in-toto.io/predicate-type": predicate}
    added = content.add(text, "application/vnd.in-toto+json")
    return msgspec.structs.replace(added, annotations=notes)


def attested(content: Folder, image: Descriptor, attestation: Descriptor) -> Descriptor:
    notes = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image.digest,
    }
    entry = msgspec.structs.replace(
        attestation, annotations=notes, platform=Platform("unknown", "unknown")
    )
    shown = msgspec.structs.replace(image, platform=AMD)
    index = Index(media_type=media.OCI_INDEX, manifests=(shown, entry))
    return content.add(manifests.marshal(index), media.OCI_INDEX)


async def chain(rig: Rig, ref: str, *predicates: str) -> AttestationChain | None:
    return await resolve_chain(rig.images, ref, AMD, "", predicates, ())


async def test_a_chain(rig: Rig, host: str, content: Folder) -> None:
    image = add_image(content, {"a": b"one"})
    provenance = statement(content, b"provenance", SLSA)
    sbom = statement(content, b"sbom", "https://spdx.dev/Document")
    attestation = add_manifest(content, provenance, sbom)
    root = attested(content, image, attestation)
    await upload(rig.registry, f"{host}/signed:1", root, content)
    unsigned = await chain(rig, f"{host}/signed:1")
    assert unsigned is not None
    assert (unsigned.root, unsigned.image_manifest) == (root.digest, image.digest)
    assert (unsigned.attestation_manifest, unsigned.signature_manifests) == (attestation.digest, ())
    assert set(unsigned.blobs) == {root.digest, attestation.digest}
    # Older registries keep the list of what refers to a manifest under a tag.
    proof = content.add(b"proof", BUNDLE)
    signature = add_manifest(content, proof, artifact_type=BUNDLE)
    other = add_manifest(content, artifact_type="application/vnd.other")
    listed = Index(
        media_type=media.OCI_INDEX,
        manifests=(
            msgspec.structs.replace(other, artifact_type="application/vnd.other"),
            msgspec.structs.replace(signature, artifact_type=BUNDLE),
        ),
    )
    referring = content.add(manifests.marshal(listed), media.OCI_INDEX)
    tag = attestation.digest.replace(":", "-")
    await upload(rig.registry, f"{host}/signed:{tag}", referring, content)
    signed = await chain(rig, f"{host}/signed:1", SLSA)
    assert signed is not None
    assert signed.signature_manifests == (signature.digest,)
    assert set(signed.blobs) == {
        *(root.digest, attestation.digest, signature.digest, proof.digest, provenance.digest)
    }
    assert signed.blobs[provenance.digest].data == b"provenance"
    assert signed.blobs[provenance.digest].descriptor.annotations == provenance.annotations


async def test_images_without(rig: Rig, host: str, content: Folder) -> None:
    image = add_image(content, {"a": b"one"})
    await upload(rig.registry, f"{host}/plain:1", image, content)
    assert await chain(rig, f"{host}/plain:1") is None
    index = content.index({AMD: image})
    await upload(rig.registry, f"{host}/plain:2", index, content)
    found = await chain(rig, f"{host}/plain:2")
    assert found is not None
    assert (found.image_manifest, found.attestation_manifest) == (image.digest, "")
    with pytest.raises(NotFound):
        await chain(rig, f"{host}/plain:3")
