"""A cache in GitHub's Actions cache."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from croze.aio.parallel import first_error
from croze.digests import digest_of
from croze.errors import AlreadyExists, CrozeError, NotFound, PermissionDenied
from croze.http.daemon import HttpClient
from croze.image.descriptor import Descriptor
from croze.remotecache.objects import actions_rest
from croze.remotecache.objects.actions_api import (
    BLOBS,
    ActionsApi,
    FoundEntry,
    ReservedPlace,
    open_api,
)
from croze.remotecache.objects.contract import GIVEN, Bring, Take
from croze.remotecache.objects.gha_options import GhaOptions, blob_key
from croze.remotecache.objects.gha_signatures import Signatures
from croze.remotecache.objects.rate_limit import RateLimit
from croze.remotecache.objects.transfer import ObjectRetry
from croze.status import Progress, step

log = logging.getLogger(__name__)

_UPLOADS = 4
_PASSED_MOST = 100


class IndexPatience(Struct, frozen=True):
    """How long another writer of the same index is waited for, and how long each time. One that
    crashed never finishes."""

    most_s: float = 15.0
    pause_s: float = 2.0


class GhaCache(Struct, eq=False):
    """`ObjectCache`. Nothing is ever written over: an index that changes gets a number, and the
    newest is found by the name in front of it."""

    options: GhaOptions
    api: ActionsApi
    signatures: Signatures
    patience: IndexPatience = field(default_factory=IndexPatience)
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_UPLOADS))

    _keys: frozenset[str] | None = None
    _asked: asyncio.Lock = field(default_factory=asyncio.Lock)
    _entries: dict[str, FoundEntry] = field(default_factory=dict)

    @property
    def origin(self) -> Mapping[str, str]:
        """See `ObjectCache`. Tokens are of one run of a workflow."""
        options = self.options
        return {"kind": "gha", "url": options.url, "credentials": GIVEN}

    @property
    def spent(self) -> bool:
        """See `ObjectCache`."""
        return time.time() > self.options.token.expires_s

    async def write_blob(self, blob: Descriptor, bring: Bring, progress: Progress) -> None:
        """See `ObjectCache`."""
        key = blob_key(blob.digest)
        async with self.uploads:
            if await self._has_key(key):
                return
            async with step(progress, f"writing layer {blob.digest}"):
                file = await bring()
                try:
                    await self.api.save(key, file, blob.size)
                except AlreadyExists:
                    pass  # somebody else has written it, or does so now
                except CrozeError as err:
                    raise err.wrap("error writing layer blob") from None

    async def write_configs(self, data: bytes, progress: Progress) -> None:
        """See `ObjectCache`."""
        key = self._index_key(self.options.token.written_scope)
        await self.api.write(await self._reserved(key), data, len(data))
        if self.signatures.command:
            await self._sign(data, progress)

    async def _sign(self, data: bytes, progress: Progress) -> None:
        digest = digest_of(data)
        async with step(progress, f"signing cache index {digest}"):
            bundle = await self.signatures.sign(data)
            await self.signatures.check(digest, bundle)
            try:
                await self.api.save(_signature_key(digest), bundle, len(bundle))
            except AlreadyExists:
                pass  # the same index has been signed before

    async def read_configs(self, progress: Progress) -> Sequence[bytes]:
        """See `ObjectCache`. Those of all scopes that may be read."""
        scopes = [each.scope for each in self.options.token.scopes]
        async with first_error(), asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read_index(scope, progress)) for scope in scopes]
        return [data for task in tasks if (data := task.result()) is not None]

    async def has_blob(self, digest: str) -> bool:
        """See `ObjectCache`."""
        return await self._entry(digest) is not None

    async def read_blob(self, blob: Descriptor, take: Take) -> None:
        """See `ObjectCache`."""
        entry = await self._entry(blob.digest)
        if entry is None:
            raise NotFound(f"blob {blob.digest}: not found")
        await self.api.download(entry, blob, take)

    # -- blobs -------------------------------------------------------------------------------

    async def _entry(self, digest: str) -> FoundEntry | None:
        key = blob_key(digest)
        if key not in self._entries:
            entry = await self.api.find(key)
            if entry is None or entry.key != key:
                return None
            self._entries[key] = entry
        return self._entries[key]

    async def _has_key(self, key: str) -> bool:
        known_keys = await self._known_keys()
        return key in known_keys if known_keys is not None else await self.api.find(key) is not None

    async def _known_keys(self) -> frozenset[str] | None:
        """All keys, from GitHub's other API, if there is a token for it: one request instead of one
        for each layer. None if they are not to be had."""
        if not self.options.repository or not self.options.rest_token:
            return None
        async with self._asked:
            if self._keys is None:
                try:
                    self._keys = await actions_rest.all_keys(self.options, self.api.blobs.sender)
                except CrozeError as err:
                    log.error("error initializing active key map: %s", err)
                    return None
        return self._keys

    # -- the index ---------------------------------------------------------------------------

    def _index_key(self, scope: str) -> str:
        """Signed ones are kept apart."""
        return self.options.index_key(scope) + ("-sig" if self.signatures.apart else "")

    async def _read_index(self, scope: str, progress: Progress) -> bytes | None:
        entry = await self.api.find(self._index_key(scope))
        if entry is None:
            return None
        data = await self.api.read(entry)
        if self.signatures.required:
            await self._check(digest_of(data), progress)
        return data

    async def _check(self, digest: str, progress: Progress) -> None:
        async with step(progress, f"verifying signature of cache index {digest}"):
            key = _signature_key(digest)
            entry = await self.api.find(key)
            if entry is None or entry.key != key:
                raise PermissionDenied("missing signature for github actions cache")
            await self.signatures.check(digest, await self.api.read(entry))

    async def _reserved(self, key: str) -> ReservedPlace:
        """The number after the newest. One that is taken is being written: when it is there, there
        is a newer one; if that never happens, it is passed over."""
        waited_s = 0.0
        number: int | None = None
        passed = 0
        while True:
            if number is None:
                number = await self._newest(key) + 1
            try:
                return await self.api.reserve(f"{key}#{number}")
            except AlreadyExists:
                if passed == _PASSED_MOST:  # nobody's writers crash so often: the service is wrong
                    raise
                if waited_s > self.patience.most_s:
                    number += 1
                    passed += 1
                    continue
            waited_s += self.patience.pause_s
            await asyncio.sleep(self.patience.pause_s)
            number = None

    async def _newest(self, key: str) -> int:
        entry = await self.api.find(f"{key}#")
        if entry is None:
            return 0
        text = entry.key.removeprefix(f"{key}#")
        if not text:
            raise CrozeError(f"corrupt empty index for {key}")
        if not text.isdecimal() or len(text) > 18:
            raise CrozeError(f"failed to parse {key} index")
        return int(text)


def _signature_key(digest: str) -> str:
    return f"{blob_key(digest)}-sig"


def open_gha(
    options: GhaOptions,
    http: HttpClient,
    limit: RateLimit,
    signatures: Signatures,
    patience: IndexPatience | None = None,
    blobs: ObjectRetry = BLOBS,
) -> GhaCache:
    """The cache that the options name. `limit`: shared by all such caches."""
    api = open_api(options, http, limit, blobs)
    return GhaCache(options, api, signatures, patience or IndexPatience())
