"""A cache in a container of Azure's blob storage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Struct, field

from croze.aio.parallel import first_error
from croze.aio.threads import in_thread
from croze.clouds.azure import DefaultIdentity
from croze.errors import CrozeError, PermissionDenied, Unavailable
from croze.http.daemon import HttpClient
from croze.image.descriptor import Descriptor
from croze.remotecache.objects import azure_blobs
from croze.remotecache.objects.azblob_options import AzblobOptions
from croze.remotecache.objects.azure_blobs import BlobRequests
from croze.remotecache.objects.contract import GIVEN, OWN, Bring, Take
from croze.remotecache.objects.transfer import ObjectRetry, ObjectSender
from croze.status import Progress, step

RETRY = ObjectRetry(attempts=4, first_s=0.8, limit_s=60.0)
_UPLOADS = 4
_OPENING_S = 60.0

T = TypeVar("T")


class AzblobCache(Struct, frozen=True):
    """`ObjectCache`. The container is made when it is first used and not there."""

    options: AzblobOptions
    requests: BlobRequests
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_UPLOADS))

    @property
    def origin(self) -> Mapping[str, str]:
        """See `ObjectCache`."""
        options = self.options
        return {
            "kind": "azblob",
            "account_url": options.account_url,
            "account_name": options.account,
            "container": options.container,
            "prefix": options.prefix,
            "blobs_prefix": options.blobs_prefix,
            "credentials": OWN if options.key is None and not options.query else GIVEN,
        }

    @property
    def spent(self) -> bool:
        """See `ObjectCache`."""
        return False

    async def open(self) -> None:
        """Make sure that the container is there. A server that says nothing is not waited for as
        long as with blobs."""
        try:
            async with asyncio.timeout(_OPENING_S):
                await self._open()
        except TimeoutError:
            raise Unavailable(
                f"failed to get properties of cache container {self.options.container}: "
                "context deadline exceeded"
            ) from None

    async def _open(self) -> None:
        url, name = self.options.url(), self.options.container
        try:
            answer = await self.requests.ask("GET", url, query="restype=container")
            if answer.ok:
                return
            if azure_blobs.code_of(answer) != "ContainerNotFound":
                raise azure_blobs.failure("GET", url, answer)
        except CrozeError as err:
            raise err.wrap(f"failed to get properties of cache container {name}") from None
        try:
            answer = await self.requests.ask("PUT", url, query="restype=container")
            if not answer.ok and azure_blobs.code_of(answer) != "ContainerAlreadyExists":
                raise azure_blobs.failure("PUT", url, answer)
        except CrozeError as err:
            raise err.wrap(f"failed to create cache container {name}") from None

    async def write_blob(self, blob: Descriptor, bring: Bring, progress: Progress) -> None:
        """See `ObjectCache`."""
        key = self.options.blob_key(blob.digest)
        async with self.uploads:
            if await self._exists(key):
                return
            async with step(progress, f"writing layer {blob.digest}"):
                file = await bring()
                await _uploading(key, self.requests.upload(self.options.url(key), file, blob.size))

    async def write_configs(self, data: bytes, progress: Progress) -> None:
        """See `ObjectCache`."""
        for name in self.options.names:
            key = self.options.config_key(name)
            try:
                await _uploading(key, self.requests.put(self.options.url(key), data, over=True))
            except CrozeError as err:
                raise err.wrap(f"error writing manifest {name}") from None

    async def read_configs(self, progress: Progress) -> Sequence[bytes]:
        """See `ObjectCache`. All names."""
        names = self.options.names
        async with first_error(), asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read_config(name)) for name in names]
        return [data for task in tasks if (data := task.result()) is not None]

    async def _read_config(self, name: str) -> bytes | None:
        key = self.options.config_key(name)
        try:
            if not await self._exists(key):
                return None
            return await self.requests.get(self.options.url(key))
        except CrozeError as err:
            raise err.wrap(f"failed to load cache manifest {name}") from None

    async def has_blob(self, digest: str) -> bool:
        """See `ObjectCache`."""
        return await self._exists(self.options.blob_key(digest))

    async def read_blob(self, blob: Descriptor, take: Take) -> None:
        """See `ObjectCache`."""
        url = self.options.url(self.options.blob_key(blob.digest))
        await self.requests.download(url, blob, take)

    async def _exists(self, key: str) -> bool:
        try:
            return await self.requests.exists(self.options.url(key))
        except CrozeError as err:
            raise err.wrap(f"failed to check blob {key} existence") from None


async def _uploading(key: str, work: Awaitable[T]) -> T:
    try:
        return await work
    except CrozeError as err:
        raise err.wrap(f"failed to upload blob {key}") from None


def _authorizer(options: AzblobOptions, own: DefaultIdentity) -> azure_blobs.Authorize:
    async def sign(method: str, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        assert options.key is not None
        return options.key.signed(method, url, headers, datetime.now(UTC))

    async def bear(method: str, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        if not url.startswith("https:"):
            raise PermissionDenied(
                "authenticated requests are not permitted for non TLS protected (https) endpoints"
            )
        return {**headers, "Authorization": f"Bearer {await in_thread(own.token)}"}

    if options.key is not None:
        return sign
    return azure_blobs.as_it_is if "sig=" in options.query else bear


def open_azblob(
    options: AzblobOptions, own: DefaultIdentity, http: HttpClient, retry: ObjectRetry = RETRY
) -> AzblobCache:
    """The cache in a container. `own`: the daemon's identity, for options without a key.
    `AzblobCache.open` comes next."""
    sender = ObjectSender(http, retry, azure_blobs.code_of)
    return AzblobCache(options, BlobRequests(sender, _authorizer(options, own)))
