"""Names into digests, digests into bytes (OCI distribution-spec, pull)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from croze.aio.threads import finish, start_in_thread
from croze.digests import digest_of
from croze.errors import Corrupted, CrozeError, NotFound
from croze.http.daemon import encoding_of, is_all_of
from croze.http.encodings import decoded, decoders
from croze.http.lazy import aiohttp
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.image.reference import check_digest
from croze.registry import failures
from croze.registry.client import Repository
from croze.registry.hosts import Endpoint
from croze.registry.transport import RetryOn

MAX_MANIFEST_BYTES = 8 << 20
_MANIFESTS = media.MANIFEST_TYPES | media.INDEX_TYPES
_WRITE_BYTES = 1 << 20
_BROKEN_OFF_MOST = 3
_NO_TOKEN = "failed to authorize"
T = TypeVar("T")

ACCEPT = ", ".join(
    [media.DOCKER_MANIFEST, media.DOCKER_INDEX, media.OCI_MANIFEST, media.OCI_INDEX, "*/*"]
)

Counter = Callable[[int], None]
"""Called with the bytes transferred so far."""


class ManifestTooLarge(Corrupted):
    """What is to be a manifest, and larger than any may be."""


async def resolve(repo: Repository) -> Descriptor:
    """What the reference's tag (or digest) names now, by a HEAD request where possible.

    Raises `NotFound` (`<ref>: not found`), `failures.AccessRefused` (`pull access denied, ...`).
    """
    return await _first_of(repo, _resolve_at)


async def fetch_root(repo: Repository) -> tuple[Descriptor, bytes]:
    """What the reference names now, with its bytes, in one request: for who wants both. Where that
    fails, as others ask: by HEAD for the name, which registries count less, and for what it names.
    What is told then has the words that are known for it."""
    try:
        return await _first_of(repo, _glance_at)
    except failures.TokenRefused:
        raise
    except (failures.AccessRefused, failures.UnexpectedStatus, failures.RequestFailed):
        descriptor = await resolve(repo)
        return descriptor, await fetch_manifest(repo, descriptor)


async def _first_of(
    repo: Repository, ask: Callable[[Repository, Endpoint, RetryOn], Awaitable[T]]
) -> T:
    """The first answer of a host; or the error that says most."""
    ref = repo.ref.tagged()
    hosts = repo.endpoints()
    ranked: tuple[int, CrozeError] = (0, failures.not_found(ref))
    for endpoint in hosts:
        is_last = endpoint is hosts[-1]
        try:
            return await ask(repo, endpoint, RetryOn.BUSY_OR_BROKEN if is_last else RetryOn.BUSY)
        except failures.TokenRefused as err:
            denied = "pull access denied, repository does not exist or may require authorization"
            ranked = max(ranked, (1, err.wrap(denied)), key=lambda pair: pair[0])
        except NotFound:
            ranked = max(ranked, (2, failures.not_found(ref)), key=lambda pair: pair[0])
        except CrozeError as err:
            no_answer = isinstance(err, failures.RequestFailed) or str(err).startswith(_NO_TOKEN)
            ranked = max(ranked, (1 if no_answer else 3, err), key=lambda pair: pair[0])
    raise ranked[1]


async def _resolve_at(repo: Repository, endpoint: Endpoint, retry_on: RetryOn) -> Descriptor:
    ref = repo.ref.tagged()
    url = repo.url(endpoint, f"manifests/{ref.digest or ref.tag}")
    headers = {"Accept": ACCEPT}
    async with repo.send(endpoint, "HEAD", url, headers=headers, retry_on=retry_on) as response:
        if response.status == 403:
            raise await refused(repo, endpoint, response, url)
        if response.status != 405:
            await _check(response, ref)
            digest = ref.digest or response.headers.get("Docker-Content-Digest", "")
            size = response.headers.get("Content-Length", "")
            if digest and size.isdecimal() and not encoding_of(response):
                return Descriptor(_media_type(response), check_digest(digest), int(size))
    return (await _fetch_root_at(repo, endpoint, retry_on))[0]


async def refused(
    repo: Repository,
    endpoint: Endpoint,
    head: aiohttp.ClientResponse,
    url: str,
    *,
    push: bool = False,
) -> CrozeError:
    """The error for a refusal to answer HEAD, with what the host says to GET."""
    body, headers = b"", {"Accept": ACCEPT}
    with suppress(CrozeError):
        async with repo.send(
            endpoint, "GET", url, headers=headers, push=push, retry_on=RetryOn.BUSY
        ) as response:
            body = await failures.body_of(response) if response.status == 403 else b""
    return await failures.unexpected(head, body)


async def _glance_at(repo: Repository, endpoint: Endpoint, _: RetryOn) -> tuple[Descriptor, bytes]:
    return await _fetch_root_at(repo, endpoint, RetryOn.NOTHING)


async def _fetch_root_at(
    repo: Repository, endpoint: Endpoint, retry_on: RetryOn
) -> tuple[Descriptor, bytes]:
    """An answer that breaks off is asked for again, soon: it was about to come."""
    for _ in range(_BROKEN_OFF_MOST):
        try:
            return await _try_root_at(repo, endpoint, retry_on)
        except failures.BrokenOff:
            pass
    return await _try_root_at(repo, endpoint, retry_on)


async def _try_root_at(
    repo: Repository, endpoint: Endpoint, retry_on: RetryOn
) -> tuple[Descriptor, bytes]:
    ref = repo.ref.tagged()
    url = repo.url(endpoint, f"manifests/{ref.digest or ref.tag}")
    headers = {"Accept": ACCEPT}
    async with repo.send(endpoint, "GET", url, headers=headers, retry_on=retry_on) as response:
        await _check(response, ref)
        data = await _read(response, url)
        descriptor = manifests.describe(data, _media_type(response))
        expected = ref.digest or response.headers.get("Docker-Content-Digest", "")
    if expected and check_digest(expected) != descriptor.digest:
        raise Corrupted(f"unexpected digest {descriptor.digest} of {ref}")
    return descriptor, data


async def fetch_manifest(repo: Repository, descriptor: Descriptor) -> bytes:
    """The bytes of a manifest, index or config, verified. Falls back to the blobs path."""

    async def attempt() -> bytes:
        error: CrozeError = failures.not_found(f"content {descriptor.digest}")
        for endpoint in repo.endpoints():
            try:
                return _verified(await _small(repo, endpoint, descriptor), descriptor)
            except NotFound as err:
                error = err if not failures.retriable(error) else error
            except CrozeError as err:
                error = err
        raise _not_opened(error, descriptor)

    return await repo.registry.transport.with_retries(attempt)


async def _small(repo: Repository, endpoint: Endpoint, descriptor: Descriptor) -> bytes:
    first, second = ("manifests", "blobs")
    if descriptor.media_type not in _MANIFESTS:
        first, second = second, first
    try:
        return await get_small(repo, endpoint, f"{first}/{descriptor.digest}")
    except NotFound:
        if descriptor.media_type in _MANIFESTS:
            raise
        return await get_small(repo, endpoint, f"{second}/{descriptor.digest}")


def _not_opened(error: CrozeError, descriptor: Descriptor) -> CrozeError:
    """What is told of a content of which nothing came: a blob that no host has, or why not."""
    if isinstance(error, NotFound) and descriptor.media_type not in _MANIFESTS:
        what = f"content descriptor {descriptor.digest} ({descriptor.media_type}) from remote"
        error = failures.not_found(f"could not fetch {what}")
    return failures.not_opened(error)


def _verified(data: bytes, descriptor: Descriptor) -> bytes:
    computed = digest_of(data)
    if computed != descriptor.digest:
        raise Corrupted(f"unexpected digest {computed} of content {descriptor.digest}")
    if len(data) != descriptor.size:
        raise Corrupted(f"failed size validation: {len(data)} != {descriptor.size}")
    return data


async def get_small(repo: Repository, endpoint: Endpoint, path: str) -> bytes:
    """A manifest or the like, as one host has it, not verified. Raises `NotFound`."""
    url = repo.url(endpoint, path)
    async with repo.send(endpoint, "GET", url, headers={"Accept": ACCEPT}) as response:
        await _check(response, f"content at {url} not found")
        return await _read(response, url)


async def _read(response: aiohttp.ClientResponse, url: str) -> bytes:
    data = bytearray()
    try:
        async for chunk in _body(response):
            data += chunk
            if len(data) > MAX_MANIFEST_BYTES:
                raise ManifestTooLarge(f"rejecting manifest over {MAX_MANIFEST_BYTES} bytes: {url}")
    except (aiohttp.ClientError, OSError) as err:
        raise failures.broken_off(url, err) from err
    return bytes(data)


def _body(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """What is sent, as it was before somebody encoded it for the way."""
    chunks, steps = response.content.iter_any(), decoders(encoding_of(response))
    return decoded(chunks, steps) if steps else chunks


async def _check(response: aiohttp.ClientResponse, what: object) -> None:
    if response.status == 404:
        raise failures.not_found(what)
    if response.status > 299:
        raise await failures.unexpected(response)


def _media_type(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()


async def blob_size(repo: Repository, digest: str) -> int:
    """The size of a blob in bytes. Raises `NotFound`."""
    error: CrozeError = failures.not_found(f"content {digest}")
    for endpoint in repo.endpoints():
        url = repo.url(endpoint, f"blobs/{digest}")
        try:
            async with repo.send(endpoint, "HEAD", url) as response:
                await _check(response, f"content at {url}")
                return int(response.headers.get("Content-Length", "0"))
        except CrozeError as err:
            error = err
    raise error


async def fetch_blob(
    repo: Repository,
    descriptor: Descriptor,
    write: Callable[[bytes], None],
    *,
    counter: Counter | None = None,
    log: Callable[[str], None] | None = None,
) -> None:
    """Stream a blob's bytes, in order, to `write` (called in a thread, about a MiB at a time).

    The caller has a `Repository.slot`. A broken connection goes on from where it broke. The size is
    checked here; the digest is the caller's to verify, who has seen all bytes. Raises `NotFound`
    and `Corrupted`.
    """
    progress = _Progress(descriptor, write, counter)

    async def attempt() -> None:
        error: CrozeError = failures.not_found("content")
        for endpoint in repo.endpoints():
            try:
                await _stream(repo, endpoint, progress)
                return
            except NotFound as err:
                error = err if not failures.retriable(error) else error
            except CrozeError as err:
                error = err
        error = _not_opened(error, descriptor)
        raise error if isinstance(error, Corrupted) else error.wrap("failed to copy")

    await repo.registry.transport.with_retries(attempt, log)


class _Progress:
    """How far a blob's transfer has come, over all attempts."""

    def __init__(
        self, descriptor: Descriptor, write: Callable[[bytes], None], counter: Counter | None
    ) -> None:
        self.descriptor = descriptor
        self.done = 0
        self.is_encoded = False
        """What was sent last was encoded: a part of that is of no use."""
        self._write = write
        self._counter = counter
        self._writing: asyncio.Future[None] | None = None
        self._under_way = 0

    async def take(self, data: bytes) -> None:
        """What comes next. It is written while more comes: see `settle`."""
        await self.settle()
        if not data:
            return
        if self.done + len(data) > self.descriptor.size:
            raise too_long(self.descriptor)
        self._writing, self._under_way = start_in_thread(self._write, data), len(data)

    async def settle(self) -> None:
        """All that was taken has been written, and counts. Raises what that raises."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        await finish(writing)
        self.done += self._under_way
        if self._counter is not None:
            self._counter(self.done)


async def _stream(repo: Repository, endpoint: Endpoint, progress: _Progress) -> None:
    descriptor = progress.descriptor
    url = repo.url(endpoint, f"blobs/{descriptor.digest}")
    is_part = progress.done and not progress.is_encoded
    headers = {"Range": f"bytes={progress.done}-"} if is_part else {}
    async with repo.send(endpoint, "GET", url, headers=headers) as response:
        await _check(response, f"content at {url} not found")
        progress.is_encoded = bool(decoders(encoding_of(response)))
        if progress.is_encoded and response.status == 206:
            trouble = "unhandled part of an encoded body"
            raise failures.BrokenOff(f'failed to do request: Get "{url}": {trouble}', again=True)
        skip = progress.done if response.status != 206 else 0
        try:
            await _copy(response, progress, skip, url)
        finally:
            await progress.settle()
        is_all = is_all_of(response)
    if progress.done != descriptor.size:
        if is_all:
            raise short_read(descriptor, progress.done)
        raise failures.BrokenOff(f'failed to do request: Get "{url}": unexpected EOF', again=True)


def too_long(descriptor: Descriptor) -> Corrupted:
    """The error for a blob of which more comes than there was said to be."""
    return Corrupted(f"content {descriptor.digest} is longer than {descriptor.size} bytes")


def short_read(descriptor: Descriptor, size_bytes: int) -> Corrupted:
    """The error for a blob that is all there, and smaller than it was said to be."""
    sizes = f"expected {descriptor.size} bytes but got {size_bytes}"
    return Corrupted(f"short read: {sizes}: unexpected EOF")


async def _copy(response: aiohttp.ClientResponse, progress: _Progress, skip: int, url: str) -> None:
    """What was received before a connection broke still counts."""
    buffer = bytearray()
    try:
        async for chunk in _body(response):
            fresh = chunk[skip:] if skip else chunk
            skip = max(0, skip - len(chunk))
            buffer += fresh
            if len(buffer) >= _WRITE_BYTES:
                await progress.take(bytes(buffer))
                buffer.clear()
    except (aiohttp.ClientError, OSError) as err:
        await progress.take(bytes(buffer))
        raise failures.broken_off(url, err) from err
    await progress.take(bytes(buffer))
