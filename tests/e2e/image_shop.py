"""An OCI layout of small images, and a registry that has them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.sandbox import BUILDX, Done, Sandbox, execute

SUITE = "sid"


OCI_INDEX = "application/vnd.oci.image.index.v1+json"


OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


OCI_CONFIG = "application/vnd.oci.image.config.v1+json"


OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


DOCKER = {
    OCI_INDEX: "application/vnd.docker.distribution.manifest.list.v2+json",
    OCI_MANIFEST: "application/vnd.docker.distribution.manifest.v2+json",
    OCI_CONFIG: "application/vnd.docker.container.image.v1+json",
    OCI_LAYER: "application/vnd.docker.image.rootfs.diff.tar",
}


Json = dict[str, object]


class Layout:
    """An OCI layout that is written by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.tags: list[Json] = []

    def blob(self, media_type: str, data: bytes) -> Json:
        digest = hashlib.sha256(data).hexdigest()
        (self.path / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def image(self, platform: str, content: str, *, docker: bool = False) -> Json:
        """The descriptor of an image for `os/arch[/variant]`."""
        os, arch, *variant = platform.split("/")
        where = {"architecture": arch, "os": os} | ({"variant": variant[0]} if variant else {})
        layer = content.encode() * 1000
        config = {
            "created": "2024-01-01T00:00:00.5Z",
            "author": "me <me@here> & you",
            **where,
            "config": {
                "Env": ["PATH=/bin", "A=1 & 2"],
                "Cmd": ["sh"],
                "ExposedPorts": {"80/tcp": {}},
                "Labels": {"z": "1", "a": content},
                "WorkingDir": "/",
            },
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
            "history": [{"created_by": "x", "comment": "c"}, {"empty_layer": True}],
        }
        kind = DOCKER if docker else {name: name for name in DOCKER}
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind[OCI_MANIFEST],
            "config": self.blob(kind[OCI_CONFIG], json.dumps(config).encode()),
            "layers": [self.blob(kind[OCI_LAYER], layer)],
        }
        found = self.blob(kind[OCI_MANIFEST], json.dumps(manifest).encode())
        return {**found, "platform": where}

    def attestation(self, subject: Json) -> Json:
        """The descriptor of what BuildKit attests of an image."""
        layers = []
        for type, predicate in (
            ("https://spdx.dev/Document", {"name": "s", "packages": [{"name": "b<c"}]}),
            ("https://slsa.dev/provenance/v1", {"runDetails": {"z": 1, "a": [True, None]}}),
        ):
            statement = {"predicateType": type, "predicate": predicate}
            layer = self.blob("application/vnd.in-toto+json", json.dumps(statement).encode())
            layers.append({**layer, "annotations": {"in-toto.io/predicate-type": type}})
        config = {"architecture": "unknown", "os": "unknown", "config": {}, "of": subject["digest"]}
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(OCI_CONFIG, json.dumps(config).encode()),
            "layers": layers,
        }
        return {
            **self.blob(OCI_MANIFEST, json.dumps(manifest).encode()),
            "annotations": {
                "vnd.docker.reference.digest": subject["digest"],
                "vnd.docker.reference.type": "attestation-manifest",
            },
            "platform": {"architecture": "unknown", "os": "unknown"},
        }

    def referrer(self, subject: Json, artifact_type: str) -> None:
        """What refers to a manifest and is known by that alone."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": self.blob("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [self.blob("text/plain", artifact_type.encode())],
            "subject": {k: subject[k] for k in ("mediaType", "digest", "size")},
        }
        entry = self.blob(OCI_MANIFEST, json.dumps(manifest).encode())
        told = {"io.containerd.manifest.subject": subject["digest"]}
        self.tags.append({**entry, "artifactType": artifact_type, "annotations": told})

    def index(self, *entries: Json, docker: bool = False) -> Json:
        kind = DOCKER[OCI_INDEX] if docker else OCI_INDEX
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
        return self.blob(kind, json.dumps(index).encode())

    def tag(self, name: str, descriptor: Json) -> None:
        bare = {k: v for k, v in descriptor.items() if k in ("mediaType", "digest", "size")}
        self.tags.append({**bare, "annotations": {"org.opencontainers.image.ref.name": name}})
        index = {"schemaVersion": 2, "manifests": self.tags}
        (self.path / "index.json").write_text(json.dumps(index))

    def __str__(self) -> str:
        return f"oci-layout://{self.path}"


@dataclass
class Shop:
    """A registry with images, and where they came from."""

    sandbox: Sandbox
    host: str
    layout: Layout

    def croze(self, *words: str, check: bool = False) -> Done:
        named = [word.replace("HOST", self.host) for word in words]
        return self.sandbox.croze("imagetools", *named, check=check)

    def buildx(self, *words: str, check: bool = False) -> Done:
        named = [word.replace("HOST", self.host) for word in words]
        return execute([BUILDX[SUITE], "imagetools", *named], self.sandbox.env, check=check)
