"""Images with provenance that is signed, as registries hold them: an index, an attestation manifest
with a subject, and a signature manifest that refers to that."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from croze.digests import digest_of
from croze.http.urls import parse_url
from tests.support.sigstore import GITHUB, SLSA, WORKFLOW, Instance
from tests.support.waiting import PATIENCE_S

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
ATTESTATION = "application/vnd.docker.attestation.manifest.v1+json"
COSIGN = "application/vnd.dev.cosign.artifact.sig.v1+json"


@dataclass
class SignedImage:
    """Blobs by digest, manifests among them; `types` of the latter. `signature` is None until
    somebody signs."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    image: str = ""
    attestation: str = ""
    root: str = ""
    signature: str = ""

    def add(self, data: bytes, media_type: str = "") -> str:
        digest = digest_of(data)
        self.blobs[digest] = data
        if media_type:
            self.types[digest] = media_type
        return digest

    def descriptor(self, digest: str, media_type: str, **more: Any) -> dict[str, Any]:
        size = len(self.blobs[digest])
        return {"mediaType": media_type, "digest": digest, "size": size, **more}

    def sign(
        self,
        signer: Instance,
        *,
        simple: bool = False,
        of: str = "",
        fields: Mapping[int, str] = GITHUB,
        san: str = WORKFLOW,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> None:
        """Sign the attestation; `of` is what is signed in its place. `simple`: as cosign did it
        before there were bundles; `key`: with it alone, without a certificate."""
        of = of or self.attestation
        if simple:
            payload = json.dumps(
                {
                    "critical": {
                        "identity": {"docker-reference": "registry/app"},
                        "image": {"docker-manifest-digest": of},
                        "type": "cosign container image signature",
                    },
                    "optional": None,
                }
            ).encode()
            layer = self.descriptor(
                self.add(payload), SIMPLE, annotations=signer.annotations(payload, key)
            )
        else:
            bundle = signer.sign(self.blobs[of], fields, san)
            layer = self.descriptor(self.add(json.dumps(bundle).encode()), BUNDLE)
        self.signature = self.refer([layer], self.attestation, COSIGN if simple else BUNDLE)

    def refer(self, layers: list[Mapping[str, Any]], subject: str, artifact_type: str) -> str:
        """A manifest of such a type that refers to another."""
        config = self.descriptor(self.add(b"{}"), EMPTY)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": config,
            "layers": layers,
            "subject": self.descriptor(subject, MANIFEST),
        }
        return self.add(json.dumps(manifest).encode(), MANIFEST)


def make_image(
    config: bytes = b"{}",
    layers: Mapping[bytes, str] | None = None,
    architecture: str = "amd64",
    *,
    hardened: bool = False,
) -> SignedImage:
    """An image that has provenance, and is not signed yet. `layers`: bytes and their types;
    `hardened`: as Docker makes its own, with provenance that the index does not list."""
    made = SignedImage()
    oci = "application/vnd.oci.image.config.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": made.descriptor(made.add(config), oci),
        "layers": [made.descriptor(made.add(d), t) for d, t in (layers or {}).items()],
    }
    made.image = made.add(json.dumps(manifest).encode(), MANIFEST)
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "subject": [{"name": "app", "digest": {"sha256": made.image.removeprefix("sha256:")}}],
        "predicateType": SLSA,
        "predicate": {"buildDefinition": {"buildType": "test"}, "runDetails": {}},
    }
    layer = made.descriptor(
        made.add(json.dumps(statement).encode()),
        "application/vnd.in-toto+json",
        annotations={"in-toto.io/predicate-type": SLSA},
    )
    kind = "application/vnd.in-toto+json" if hardened else ATTESTATION
    made.attestation = made.refer([layer], made.image, kind)
    platform = {"os": "linux", "architecture": architecture}
    notes = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": made.image,
    }
    unknown = {"os": "unknown", "architecture": "unknown"}
    index: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            made.descriptor(made.image, MANIFEST, platform=platform),
            made.descriptor(made.attestation, MANIFEST, platform=unknown, annotations=notes),
        ],
    }
    if hardened:
        index["annotations"] = {"org.opencontainers.image.title": "dhi/app"}
        del index["manifests"][1]
        index["manifests"][0]["annotations"] = {"com.docker.dhi.build.id": "1"}
    made.root = made.add(json.dumps(index).encode(), INDEX)
    return made


def push(image: SignedImage, registry: str, name: str, tag: str = "v1") -> str:
    """To a registry that knows no referrers: a tag lists them in its place. What it is called
    then."""
    connection = http.client.HTTPConnection(registry, timeout=PATIENCE_S)
    try:
        for digest, data in image.blobs.items():
            _send(connection, "POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data)
        for digest in [d for d in image.types if d != image.root]:
            _put(connection, name, digest, image.blobs[digest], image.types[digest])
        for digest, of in ((image.signature, image.attestation), (image.attestation, image.image)):
            if digest:
                listed = image.descriptor(digest, MANIFEST)
                manifest = json.loads(image.blobs[digest])
                listed["artifactType"] = manifest["artifactType"]
                listed["annotations"] = {"in-toto.io/predicate-type": SLSA}
                index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]}
                listing = of.replace(":", "-")
                _put(connection, name, listing, json.dumps(index).encode(), INDEX)
        _put(connection, name, tag, image.blobs[image.root], INDEX)
    finally:
        connection.close()
    return f"{registry}/{name}:{tag}"


def _put(
    connection: http.client.HTTPConnection, name: str, ref: str, data: bytes, kind: str
) -> None:
    _send(connection, "PUT", f"/v2/{name}/manifests/{ref}", data, kind)


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    data: bytes,
    kind: str = "application/octet-stream",
) -> None:
    connection.request(method, path, data, {"Content-Type": kind})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status == 202:  # it takes no blob in one request
        where = parse_url(answer.headers["Location"])
        digest = path.partition("digest=")[2]
        more = f"{where.path}?{where.query}&digest={digest}"
        return _send(connection, "PUT", more, data)
    assert answer.status == 201, (method, path, answer.status, said)
