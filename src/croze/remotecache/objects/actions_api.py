"""GitHub's cache service, versions 1 and 2 of its API (actions/toolkit, `packages/cache`): entries
by key, written once; a look-up finds the newest entry whose key begins with what is asked for.

Version 1 takes and serves the bytes itself or says where they are; in version 2 they are blobs in
Azure's storage, at signed URLs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from croze.aio.parallel import first_error
from croze.errors import CrozeError
from croze.gotypes import gojson
from croze.http.daemon import HttpClient
from croze.http.redirects import RedirectRefused, check_url
from croze.image.descriptor import Descriptor
from croze.remotecache.objects import azure_blobs
from croze.remotecache.objects.actions_errors import failure
from croze.remotecache.objects.azure_blobs import BlobRequests
from croze.remotecache.objects.contract import Take
from croze.remotecache.objects.gha_options import GhaOptions
from croze.remotecache.objects.rate_limit import RateLimit
from croze.remotecache.objects.transfer import (
    CONFIG_BYTES,
    ObjectAnswer,
    ObjectRequest,
    ObjectRetry,
    ObjectSender,
    Piece,
    pieces,
    refused_as,
    shown,
)

_VERSION = hashlib.sha256(b"|go-actionscache-1.0").hexdigest()
"""What entries of BuildKit's have in common: others are not found."""
CHUNK_BYTES = 32 << 20
_CHUNKS_AT_ONCE = 4
_SERVICE = "twirp/github.actions.results.api.v1.CacheService"
BLOBS = ObjectRetry(attempts=11, first_s=10.0, limit_s=120.0)
"""For Azure's storage, which is asked with much patience."""
_ONCE = ObjectRetry(attempts=1)

_T = TypeVar("_T", bound=msgspec.Struct)


class _Found(msgspec.Struct, frozen=True, rename="camel"):
    cache_key: str = ""
    archive_location: str = ""
    is_azure_blob: bool = False


class _Found2(msgspec.Struct, frozen=True):
    ok: bool = False
    signed_download_url: str = ""
    matched_key: str = ""


class _Reserved(msgspec.Struct, frozen=True):
    cache_id: int = msgspec.field(default=0, name="cacheID")
    cache_id_camel: int = msgspec.field(default=0, name="cacheId")


class _Reserved2(msgspec.Struct, frozen=True):
    ok: bool = False
    signed_upload_url: str = ""


class _Committed2(msgspec.Struct, frozen=True):
    ok: bool = False


@dataclasses.dataclass(frozen=True)
class FoundEntry:
    """An entry of the service that was found by its key, which is here as a whole."""

    key: str
    url: str = dataclasses.field(repr=False)
    azure: bool


@dataclasses.dataclass(frozen=True)
class ReservedPlace:
    """Where the bytes of a new entry go."""

    key: str
    id: int = 0
    url: str = dataclasses.field(default="", repr=False)


class ActionsApi(Struct, frozen=True):
    """One version of the service's API. Everything raises `CrozeError`."""

    options: GhaOptions
    api: ObjectSender
    blobs: BlobRequests
    limit: RateLimit
    chunks: asyncio.Semaphore = msgspec.field(
        default_factory=lambda: asyncio.Semaphore(_CHUNKS_AT_ONCE)
    )

    # -- entries -----------------------------------------------------------------------------

    async def find(self, key: str) -> FoundEntry | None:
        """The newest entry whose key begins with `key`; None if there is none."""
        if self.options.version == 2:
            request = {"key": key, "restore_keys": [key], "version": _VERSION}
            entry = await self._call("GetCacheEntryDownloadURL", request, _Found2)
            if not entry.ok:
                return None
            return FoundEntry(entry.matched_key, _checked(entry.signed_download_url), azure=True)
        query = urlencode({"keys": key, "version": _VERSION})
        answer = await self._send("GET", f"{self._v1('cache')}?{query}")
        if not answer.body:
            return None
        old = _decoded(answer.body, _Found)
        if not old.cache_key:
            return None
        return FoundEntry(old.cache_key, _checked(old.archive_location), old.is_azure_blob)

    async def reserve(self, key: str) -> ReservedPlace:
        """Begin a new entry: where its bytes go. Raises `AlreadyExists`: also for a key that
        somebody is writing, or began to."""
        request = {"key": key, "version": _VERSION}
        if self.options.version == 2:
            reserved = await self._call("CreateCacheEntry", request, _Reserved2)
            if not reserved.ok:
                raise CrozeError("failed to reserve cache")
            return ReservedPlace(key, url=_checked(reserved.signed_upload_url))
        answer = await self._send("POST", self._v1("caches"), msgspec.json.encode(request))
        old = _decoded(answer.body, _Reserved)
        id = old.cache_id or old.cache_id_camel
        if not id:
            raise CrozeError(f"invalid response {self.api.hidden(_text(answer.body))}")
        return ReservedPlace(key, id=id)

    async def commit(self, place: ReservedPlace, size: int) -> None:
        """End a new entry, which is found from now on. `size`: bytes that were written."""
        if self.options.version == 2:
            request = {"key": place.key, "size_bytes": size, "version": _VERSION}
            committed = await self._call("FinalizeCacheEntryUpload", request, _Committed2)
            if not committed.ok:
                raise CrozeError("failed to commit cache")
            return
        url = self._v1(f"caches/{place.id}")
        try:
            await self._send("POST", url, msgspec.json.encode({"size": size}))
        except CrozeError as err:
            raise err.wrap(f"error committing cache {place.id}") from None

    async def save(self, key: str, body: Path | bytes, size: int) -> None:
        """Write a new entry as a whole. Raises `AlreadyExists`."""
        await self.write(await self.reserve(key), body, size)

    async def write(self, place: ReservedPlace, body: Path | bytes, size: int) -> None:
        """Write the bytes of an entry that was reserved, and end it."""
        if self.options.version == 2:
            if isinstance(body, Path):
                await self.blobs.upload(place.url, body, size, over=True)
            else:
                await self.blobs.put(place.url, body, over=True)
        elif isinstance(body, Path):
            async with first_error(), asyncio.TaskGroup() as group:
                for piece in pieces(body, size, CHUNK_BYTES) if size else ():
                    group.create_task(self._upload(place, piece, piece.start))
        else:
            await self._upload(place, body, 0)
        await self.commit(place, size)

    async def _upload(self, place: ReservedPlace, body: Piece | bytes, start: int) -> None:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {start}-{start + len(body) - 1}/*",
        }
        async with self.chunks:
            await self._send("PATCH", self._v1(f"caches/{place.id}"), body, headers)

    # -- their bytes -------------------------------------------------------------------------

    async def read(self, entry: FoundEntry) -> bytes:
        """The bytes of a small entry."""
        if entry.azure:
            return await self.blobs.get(entry.url)
        sender = self.blobs.sender

        async def prepare() -> ObjectRequest:
            return ObjectRequest("GET", entry.url, redirects=True)

        answer = await sender.ask(prepare, limit_bytes=CONFIG_BYTES)
        if not answer.ok:
            raise _unreadable(entry, answer)
        return answer.body

    async def download(self, entry: FoundEntry, blob: Descriptor, take: Take) -> None:
        """See `ObjectCache.read_blob`. A signed URL that has expired is asked for anew."""
        seen = [0]

        async def counted(data: bytes) -> None:
            seen[0] += len(data)
            await take(data)

        try:
            await self._download(entry, blob, counted)
        except Expired:
            again = None if seen[0] else await self.find(entry.key)
            if again is None:
                raise
            await self._download(again, blob, take)

    async def _download(self, entry: FoundEntry, blob: Descriptor, take: Take) -> None:
        def refused(answer: ObjectAnswer) -> CrozeError:
            if answer.status in (401, 403):
                return Expired(str(azure_blobs.failure("GET", entry.url, answer)))
            if entry.azure:
                return azure_blobs.failure("GET", entry.url, answer)
            return _unreadable(entry, answer)

        if entry.azure:
            await self.blobs.download(entry.url, blob, take, refused)
            return

        async def prepare(offset: int) -> ObjectRequest:
            headers = {"Range": f"bytes={offset}-"} if offset else {}
            return ObjectRequest("GET", entry.url, headers, redirects=True)

        await self.blobs.sender.download(blob, prepare, refused, take)

    # -- requests ----------------------------------------------------------------------------

    def _v1(self, path: str) -> str:
        return f"{self.options.url}/_apis/artifactcache/{path}"

    async def _call(self, method: str, request: Mapping[str, object], kind: type[_T]) -> _T:
        url = f"{self.options.url}/{_SERVICE}/{method}"
        return _decoded((await self._send("POST", url, msgspec.json.encode(request))).body, kind)

    async def _send(
        self,
        method: str,
        url: str,
        body: Piece | bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> ObjectAnswer:
        full = {"Authorization": f"Bearer {self.options.token.text}"}
        if self.options.version == 1:
            full["Accept"] = "application/json;api-version=6.0-preview.1"
        if body:
            full["Content-Type"] = "application/json"
        request = ObjectRequest(method, url, {**full, **(headers or {})}, body)

        async def prepare() -> ObjectRequest:
            return request

        async def once() -> ObjectAnswer:
            answer = await self.api.ask(prepare)
            if not answer.ok:
                raise failure(answer)
            return answer

        return await self.limit.kept(once, self.options.timeout_s)


class Expired(CrozeError):
    """A signed URL is not valid any more."""


def _unreadable(entry: FoundEntry, answer: ObjectAnswer) -> CrozeError:
    text = f"invalid status response {answer.status} {answer.reason} for {shown(entry.url)}"
    return refused_as(answer, text)


def _checked(url: str) -> str:
    """What the service says is an address of the web, or it is refused."""
    try:
        check_url(url)
    except RedirectRefused as err:
        raise CrozeError(f"invalid response of the cache service: {err}") from None
    return url


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return gojson.unmarshal(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise CrozeError(f"invalid response of the cache service: {err}") from None


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def open_api(
    options: GhaOptions, http: HttpClient, limit: RateLimit, blobs: ObjectRetry = BLOBS
) -> ActionsApi:
    """The API in the version that the options name. `limit`: shared by all who ask the service."""
    secrets = (options.token.text, options.rest_token)
    storage = BlobRequests(
        ObjectSender(http, blobs, azure_blobs.code_of, secrets), azure_blobs.as_it_is
    )
    return ActionsApi(options, ObjectSender(http, _ONCE, secrets=secrets), storage, limit)
