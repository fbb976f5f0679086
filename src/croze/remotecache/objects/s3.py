"""A cache in an S3 bucket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct, field

from croze.aio.parallel import first_error
from croze.aio.threads import finish
from croze.clouds.aws import AwsIdentity, StaticCredentials
from croze.errors import CrozeError
from croze.http.daemon import HttpClient
from croze.image.descriptor import Descriptor
from croze.remotecache.objects.contract import GIVEN, OWN, Bring, Take
from croze.remotecache.objects.pace import Pace
from croze.remotecache.objects.s3_options import S3Options
from croze.remotecache.objects.s3_requests import RETRIED_CODES, S3Requests, StoredPart, code_of
from croze.remotecache.objects.transfer import (
    ObjectRequest,
    ObjectRetry,
    ObjectSender,
    Piece,
    pieces,
)
from croze.status import Progress, step

WHOLE_BYTES = 16 << 20
"""What is not larger goes up as a whole."""
PART_BYTES = 8 << 20
MOST_PARTS = 10_000
COPY_BYTES = 5 << 30
"""The most that S3 copies at once."""
_PARTS_AT_ONCE = 5


class S3Cache(Struct, frozen=True):
    """`ObjectCache` in an S3 bucket."""

    requests: S3Requests
    uploads: asyncio.Semaphore
    parts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PARTS_AT_ONCE))

    @property
    def options(self) -> S3Options:
        return self.requests.options

    @property
    def origin(self) -> Mapping[str, str]:
        """See `ObjectCache`."""
        options = self.options
        return {
            "kind": "s3",
            "bucket": options.bucket,
            "region": options.region,
            "base_url": options.base_url,
            "prefix": options.prefix,
            "blobs_prefix": options.blobs_prefix,
            "credentials": OWN if options.credentials is None else GIVEN,
        }

    @property
    def spent(self) -> bool:
        """See `ObjectCache`."""
        return False

    async def write_blob(self, blob: Descriptor, bring: Bring, progress: Progress) -> None:
        """See `ObjectCache`."""
        key = self.options.blob_key(blob.digest)
        async with self.uploads:
            try:
                head = await self.requests.head(key)
            except CrozeError as err:
                raise err.wrap("failed to check file presence in cache") from None
            if head is not None:
                await self._keep(key, head.size, head.modified)
                return
            async with step(progress, f"writing layer {blob.digest}"):
                file = await bring()
                try:
                    await self._upload(key, file, blob.size)
                except CrozeError as err:
                    raise err.wrap("error writing layer blob") from None

    async def write_configs(self, data: bytes, progress: Progress) -> None:
        """See `ObjectCache`."""
        for name in self.options.names:
            try:
                await self.requests.put(self.options.config_key(name), data)
            except CrozeError as err:
                raise err.wrap(f"error writing manifest: {name}") from None

    async def read_configs(self, progress: Progress) -> Sequence[bytes]:
        """See `ObjectCache`. Only the first name is read."""
        data = await self.requests.get(self.options.config_key(self.options.names[0]))
        return [] if data is None else [data]

    async def has_blob(self, digest: str) -> bool:
        """See `ObjectCache`."""
        return await self.requests.head(self.options.blob_key(digest)) is not None

    async def read_blob(self, blob: Descriptor, take: Take) -> None:
        """See `ObjectCache`."""
        requests, key = self.requests, self.options.blob_key(blob.digest)

        async def prepare(offset: int) -> ObjectRequest:
            return await requests.reading(key, offset)

        await requests.sender.download(blob, prepare, requests.unreadable, take)

    async def _keep(self, key: str, size: int, modified: datetime) -> None:
        """Buckets have rules that remove what is old: renew it in time."""
        age_s = (datetime.now(UTC) - modified).total_seconds()
        if age_s * 10**9 <= self.options.touch_refresh_ns:
            return
        try:
            await (self.requests.touch(key) if size < COPY_BYTES else self._copy(key, size))
        except CrozeError as err:
            raise err.wrap("failed to touch file") from None

    async def _copy(self, key: str, size: int) -> None:
        async with self._uploading(key) as upload:
            starts = range(0, size, COPY_BYTES)
            parts = [
                await self.requests.copy_part(
                    key, upload, number, start, min(start + COPY_BYTES, size) - 1
                )
                for number, start in enumerate(starts, 1)
            ]
            await self.requests.complete_upload(key, upload, parts)

    async def _upload(self, key: str, file: Path, size: int) -> None:
        if size <= WHOLE_BYTES:
            async with self.parts:
                await self.requests.put(key, Piece(file, 0, size))
            return
        parts = pieces(file, size, max(PART_BYTES, -(-size // MOST_PARTS)))
        async with self._uploading(key) as upload:

            async def send(number: int, piece: Piece) -> StoredPart:
                async with self.parts:
                    return await self.requests.upload_part(key, upload, number, piece)

            async with first_error(), asyncio.TaskGroup() as group:
                sent = [group.create_task(send(*each)) for each in enumerate(parts, 1)]
            await self.requests.complete_upload(key, upload, [task.result() for task in sent])

    @asynccontextmanager
    async def _uploading(self, key: str) -> AsyncIterator[str]:
        upload = await self.requests.start_upload(key)
        try:
            yield upload
        except BaseException:
            await finish(self._abort(key, upload))
            raise

    async def _abort(self, key: str, upload: str) -> None:
        try:
            await self.requests.abort_upload(key, upload)
        except CrozeError:
            pass  # what broke the upload counts; the bucket's rules remove such parts


def open_s3(
    options: S3Options, own: AwsIdentity, http: HttpClient, retry: ObjectRetry | None = None
) -> S3Cache:
    """The cache in a bucket. `own`: the daemon's identity, for options without credentials."""
    credentials = options.credentials
    retry = retry or ObjectRetry(attempts=options.attempts, codes=RETRIED_CODES)
    secrets = (credentials.secret_access_key, credentials.session_token) if credentials else ()
    identity = StaticCredentials(credentials) if credentials else own
    pace = Pace() if options.adaptive else None
    sender = ObjectSender(http, retry, code_of, secrets, pace)
    return S3Cache(
        S3Requests(options, identity, sender), asyncio.Semaphore(options.upload_parallelism)
    )
