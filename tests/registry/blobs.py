"""Bytes for a registry, in memory and on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.image.manifest import Index, Manifest
from croze.image.platform import Platform

BLOB = bytes(range(256)) * 8192


class Folder:
    """What a push reads from: blobs by digest."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, data: bytes, media_type: str) -> Descriptor:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.path(digest).write_bytes(data)
        return Descriptor(media_type, digest, len(data))

    def path(self, digest: str) -> Path:
        return self._root / digest.replace(":", "-")

    def read(self, digest: str, limit_bytes: int = 1 << 24) -> bytes:
        return self.path(digest).read_bytes()

    def image(self, *layers: bytes, config: bytes = b"{}") -> Descriptor:
        """A manifest; layers are given as they are."""
        value = Manifest(
            media_type=media.OCI_MANIFEST,
            config=self.add(config, media.OCI_CONFIG),
            layers=tuple(self.add(layer, media.OCI_LAYER_GZIP) for layer in layers),
        )
        return self.add(manifests.marshal(value), media.OCI_MANIFEST)

    def index(self, entries: Mapping[Platform, Descriptor]) -> Descriptor:
        found = tuple(
            Descriptor(entry.media_type, entry.digest, entry.size, platform=platform)
            for platform, entry in entries.items()
        )
        return self.add(
            manifests.marshal(Index(media_type=media.OCI_INDEX, manifests=found)), media.OCI_INDEX
        )
