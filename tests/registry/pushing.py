"""Whole images pushed to a registry."""

from __future__ import annotations

from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.registry import push
from croze.registry.client import Registry, Repository
from croze.registry.credentials import Anonymous, Credentials
from tests.registry.blobs import Folder


def repository(client: Registry, name: str, who: Credentials | None = None) -> Repository:
    return client.repository(reference.parse(name), who or Anonymous())


async def push_all(repo: Repository, root: Descriptor, content: Folder) -> None:
    manifests, blobs = push.closure(root, content)
    for blob in blobs:
        await push.push_blob(repo, blob, content.path(blob.digest))
    for entry in manifests:
        tag = repo.ref.tag if entry is manifests[-1] else ""
        await push.push_manifest(repo, content.read(entry.digest), entry.media_type, tag=tag)
