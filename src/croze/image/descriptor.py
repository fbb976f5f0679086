"""Content descriptors and media types (OCI image-spec `descriptor.md`, `media-types.md`)."""

from __future__ import annotations

import msgspec

from croze.image.platform import Platform
from croze.image.reference import check_digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

_LAYERS_TO_OCI = {
    DOCKER_LAYER: OCI_LAYER,
    DOCKER_LAYER_GZIP: OCI_LAYER_GZIP,
    DOCKER_LAYER + ".zstd": OCI_LAYER_ZSTD,
    DOCKER_FOREIGN_LAYER: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar"
    ),
}
_LAYERS_TO_DOCKER = {oci: docker for docker, oci in _LAYERS_TO_OCI.items()}

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

UNCOMPRESSED_ANNOTATION = "containerd.io/uncompressed"
CREATED_ANNOTATION = "buildkit/createdat"
REWRITTEN_ANNOTATION = "buildkit/rewritten-timestamp"


def layer_type(kind: str, *, oci: bool) -> str:
    """The media type of a layer of this kind: OCI's or Docker's."""
    return (_LAYERS_TO_OCI if oci else _LAYERS_TO_DOCKER).get(kind, kind)


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Names a blob: type, digest and size in bytes. `platform` only inside an index."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    data: str | None = None
    """Base64 of the blob itself, for tiny ones."""
    platform: Platform | None = None
    artifact_type: str | None = None

    def as_layer(self, *, prefer_nondist: bool = False) -> Descriptor:
        """The layer as it is published. Only with `prefer_nondist` may a layer be had elsewhere, at
        its `urls`, and then its type says that it is not to be uploaded."""
        urls = self.urls if prefer_nondist else ()
        kind = self.media_type.replace(".nondistributable.", ".").replace(".foreign.", ".")
        if urls:
            kind = kind.replace("image.layer.v1", "image.layer.nondistributable.v1")
            kind = kind.replace("rootfs.diff", "rootfs.foreign.diff")
        return msgspec.structs.replace(self, media_type=kind, urls=urls)

    def __post_init__(self) -> None:
        """Whoever says it (a registry, a cache, a client's layout): the digest becomes part of URLs
        and paths. Raises `InvalidRequest`."""
        check_digest(self.digest)
