"""An image in a registry."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from croze.aio.threads import opened
from croze.errors import Corrupted, InvalidRequest
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.imagetools.contract import LARGEST_READ_BYTES, without_subject
from croze.imagetools.location import Location, RegistryLocation
from croze.registry import pull, push
from croze.registry.client import Registry, Repository
from croze.registry.credentials import Credentials
from croze.registry.referrers import announce, referrers

_SMALL = media.MANIFEST_TYPES | media.INDEX_TYPES | {media.OCI_CONFIG, media.DOCKER_CONFIG}


class RegistryPlace:
    def __init__(
        self, location: RegistryLocation, registry: Registry, credentials: Credentials
    ) -> None:
        self._location = location
        self._repo: Repository = registry.repository(location.ref, credentials)

    @property
    def location(self) -> Location:
        return self._location

    async def resolve(self) -> Descriptor:
        return await pull.resolve(self._repo)

    async def read(self, descriptor: Descriptor) -> bytes:
        if descriptor.media_type in _SMALL or not descriptor.size:
            return await pull.fetch_manifest(self._repo, descriptor)
        if descriptor.size > LARGEST_READ_BYTES:
            raise InvalidRequest(f"content {descriptor.digest} is too large to be read")
        data = bytearray()
        async with self._repo.slot:
            await pull.fetch_blob(self._repo, descriptor, data.extend)
        _check(descriptor, hashlib.new(_algorithm(descriptor), data).hexdigest())
        return bytes(data)

    async def bring(self, descriptor: Descriptor, folder: Path) -> Path:
        path = folder / descriptor.digest.replace(":", "-")
        sum = hashlib.new(_algorithm(descriptor))
        async with self._repo.slot, opened(path, "wb") as file:

            def write(data: bytes) -> None:
                sum.update(data)
                file.write(data)

            await pull.fetch_blob(self._repo, descriptor, write)
        _check(descriptor, sum.hexdigest())
        return path

    async def referrers(self, digest: str) -> Sequence[Descriptor]:
        return await referrers(self._repo, digest)

    async def put_blob(
        self, descriptor: Descriptor, source: Location, bring: Callable[[], Awaitable[Path]]
    ) -> None:
        mount_from = ""
        if isinstance(source, RegistryLocation) and source.ref.domain == self._repo.ref.domain:
            mount_from = source.ref.path
        await push.push_blob(self._repo, descriptor, bring, mount_from=mount_from)

    async def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        await push.push_manifest(self._repo, data, descriptor.media_type, force=False)

    async def put_referrer(self, subject: str, descriptor: Descriptor) -> None:
        await announce(self._repo, subject, without_subject(descriptor))

    async def publish(self, descriptor: Descriptor, data: bytes) -> None:
        tag = self._repo.ref.tag
        await push.push_manifest(self._repo, data, descriptor.media_type, tag=tag)


def _algorithm(descriptor: Descriptor) -> str:
    return descriptor.digest.partition(":")[0]


def _check(descriptor: Descriptor, computed: str) -> None:
    if descriptor.digest.partition(":")[2] != computed:
        raise Corrupted(f"unexpected digest {computed} of content {descriptor.digest}")
