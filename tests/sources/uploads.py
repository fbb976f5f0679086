"""Images put into a registry."""

from __future__ import annotations

from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.registry import push
from croze.registry.client import Registry
from croze.registry.credentials import Anonymous
from tests.registry.blobs import Folder


async def upload(registry: Registry, name: str, root: Descriptor, content: Folder) -> None:
    repo = registry.repository(reference.parse(name), Anonymous())
    manifests, blobs = push.closure(root, content)
    for blob in blobs:
        await push.push_blob(repo, blob, content.path(blob.digest))
    for entry in manifests:
        tag = repo.ref.tag if entry is manifests[-1] else ""
        await push.push_manifest(repo, content.read(entry.digest), entry.media_type, tag=tag)
