"""Images put into a registry."""

from __future__ import annotations

from croze.image.descriptor import Descriptor
from croze.registry.client import Registry
from tests.registry.blobs import Folder
from tests.registry.pushing import push_all, repository


async def upload(registry: Registry, name: str, root: Descriptor, content: Folder) -> None:
    await push_all(repository(registry, name), root, content)
