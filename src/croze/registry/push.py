"""Blobs and manifests up to a registry (OCI distribution-spec, push)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

from msgspec import Struct

from croze.aio.threads import chunks
from croze.digests import digest_of
from croze.errors import Corrupted, CrozeError, InvalidRequest
from croze.files.redact import redact
from croze.http.lazy import aiohttp
from croze.http.redirects import same_origin
from croze.http.urls import join_urls, parse_url
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.registry import failures
from croze.registry.client import Repository
from croze.registry.credentials import Anonymous
from croze.registry.hosts import Endpoint
from croze.registry.pull import ACCEPT, refused
from croze.registry.transport import RetryOn, Stream

_CHUNK_BYTES = 1 << 20
_DENIED = "push access denied, repository does not exist or may require authorization"


class BlobReader(Protocol):
    """What small blobs are read from, as from a `store.contract.BlobStore`."""

    def read(self, digest: str, limit_bytes: int = ...) -> bytes:
        """A small blob's bytes. Raises `NotFound`, and `ResourceExhausted` over the limit."""


async def push_blob(
    repo: Repository,
    descriptor: Descriptor,
    path: Path | Callable[[], Awaitable[Path]],
    *,
    mount_from: str = "",
    counter: Callable[[int], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> None:
    """Bring a blob up unless it is there. `mount_from`: a repository of the same registry that
    has it, from which it is linked if the registry allows. `path` may be a function that brings
    the bytes here, only called when they must be sent."""
    endpoint = repo.endpoints(push=True)[0]

    async def attempt() -> None:
        if await exists(repo, endpoint, f"blobs/{descriptor.digest}"):
            return
        location = await _begin(repo, endpoint, descriptor, mount_from)
        if location is not None:
            file = path if isinstance(path, Path) else await path()
            # Not before: the bytes may come from this registry, and need a slot themselves.
            async with repo.slot:
                await _upload(repo, endpoint, location, descriptor, file, counter)

    try:
        await repo.registry.transport.with_retries(attempt, log)
    except failures.AccessRefused as err:
        raise _denied(err) from err
    if counter is not None:
        counter(descriptor.size)


async def has_blob(repo: Repository, descriptor: Descriptor) -> bool:
    """Whether a `push_blob` would find it there."""
    endpoint = repo.endpoints(push=True)[0]

    async def attempt() -> bool:
        return await exists(repo, endpoint, f"blobs/{descriptor.digest}")

    try:
        return await repo.registry.transport.with_retries(attempt)
    except failures.AccessRefused as err:
        raise _denied(err) from err


async def push_manifest(
    repo: Repository, data: bytes, media_type: str, *, tag: str = "", force: bool = True
) -> None:
    """Bring a manifest up under a tag, or under its digest alone."""
    endpoint = repo.endpoints(push=True)[0]
    url = repo.url(endpoint, f"manifests/{tag or digest_of(data)}")

    async def attempt() -> None:
        headers = {"Content-Type": media_type}
        async with repo.send(
            endpoint, "PUT", url, headers=headers, body=data, push=True
        ) as response:
            if response.status not in (200, 201, 204):
                raise await failures.unexpected(response)
            _check_digest(response, digest_of(data))

    try:
        if tag or force or not await exists(repo, endpoint, f"manifests/{url.rpartition('/')[2]}"):
            await repo.registry.transport.with_retries(attempt)
    except failures.AccessRefused as err:
        raise _denied(err) from err


def _denied(err: failures.AccessRefused) -> CrozeError:
    is_told = not isinstance(err, failures.TokenRefused) or str(err).startswith(_DENIED)
    return err if is_told else err.wrap(_DENIED)


def _check_digest(response: aiohttp.ClientResponse, expected: str) -> None:
    digest_there = response.headers.get("Docker-Content-Digest", "")
    if digest_there and digest_there != expected:
        raise CrozeError(f"got digest {digest_there}, expected {expected}")


async def exists(repo: Repository, endpoint: Endpoint, path: str) -> bool:
    """Whether the registry has such as `blobs/sha256:…`."""
    url = repo.url(endpoint, path)
    # Registries deny that they have a manifest whose type the client doesn't accept.
    headers = {"Accept": ACCEPT}
    async with repo.send(endpoint, "HEAD", url, headers=headers, push=True) as response:
        if response.status == 404:
            return False
        if response.status == 403:
            raise await refused(repo, endpoint, response, url, push=True)
        if response.status > 299:
            raise await failures.unexpected(response)
        return True


class UploadLocation(Struct, frozen=True):
    """Where a registry wants a blob."""

    url: str
    same_origin: bool
    """As the registry that said so, whose credentials go along."""


async def _begin(
    repo: Repository, endpoint: Endpoint, descriptor: Descriptor, mount_from: str
) -> UploadLocation | None:
    """Where to upload to; None when the registry could link the blob."""
    if mount_from and mount_from != repo.ref.path:
        query = urlencode({"mount": descriptor.digest, "from": mount_from})
        try:
            return await start(repo, endpoint, f"?{query}", mount_from)
        except (failures.AccessRefused, failures.UnexpectedStatus):
            pass  # a private repository, or no mounting: send the bytes
    return await start(repo, endpoint)


async def start(
    repo: Repository, endpoint: Endpoint, query: str = "", also_pull_from: str = ""
) -> UploadLocation | None:
    """Where to upload to; None when the registry could link what the query says."""
    url = repo.url(endpoint, f"blobs/uploads/{query}")
    async with repo.send(
        endpoint, "POST", url, push=True, also_pull_from=also_pull_from
    ) as response:
        if response.status == 201:
            return None
        if response.status not in (200, 202, 204):
            raise await failures.unexpected(response)
        return told(response)


def told(response: aiohttp.ClientResponse) -> UploadLocation:
    """Where an answer says that the upload goes on."""
    url, header = str(response.url), response.headers.get("Location", "")
    try:
        location = join_urls(url, header).partition("#")[0]  # the digest is still to be added
    except InvalidRequest as err:
        raise err.wrap(f"unable to parse location {redact(header)}") from None
    return UploadLocation(location, same_origin(url, location))


async def _upload(
    repo: Repository,
    endpoint: Endpoint,
    location: UploadLocation,
    descriptor: Descriptor,
    path: Path,
    counter: Callable[[int], None] | None,
) -> None:
    """One PUT with the whole body. Raises `Corrupted` for a file of another size than is said of
    it."""
    if (size := path.stat().st_size) != descriptor.size:
        raise Corrupted(
            f"content {descriptor.digest} has {size} bytes, not {descriptor.size} as is said of it"
        )
    await put(repo, endpoint, location, descriptor, lambda: _chunks(path, counter))


async def put(
    repo: Repository,
    endpoint: Endpoint,
    location: UploadLocation,
    descriptor: Descriptor,
    rest: Stream | None = None,
) -> None:
    """End an upload with the digest, and with all bytes if none have been sent before."""
    joint = "&" if parse_url(location.url).query else "?"
    url = f"{location.url}{joint}{urlencode({'digest': descriptor.digest})}"
    headers = {"Content-Length": str(descriptor.size if rest is not None else 0)}
    async with send(repo, endpoint, location, "PUT", url, headers, rest) as response:
        if response.status not in (200, 201, 204):
            raise await failures.unexpected(response)
        _check_digest(response, descriptor.digest)


def send(
    repo: Repository,
    endpoint: Endpoint,
    location: UploadLocation,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Stream | None,
    retry_on: RetryOn = RetryOn.BUSY_OR_BROKEN,
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """A request of an upload. Another origin gets no credentials of ours."""
    if not location.same_origin:
        parts = parse_url(location.url)
        repo = Repository(repo.registry, repo.ref, Anonymous(), repo.insecure)
        endpoint = Endpoint(parts.scheme, parts.netloc)
    if body is not None:
        headers = {"Content-Type": "application/octet-stream", **headers}
    return repo.send(
        endpoint, method, url, headers=headers, body=body, push=True, retry_on=retry_on
    )


async def _chunks(path: Path, counter: Callable[[int], None] | None) -> AsyncGenerator[bytes, None]:
    sent_bytes = 0
    async with aclosing(chunks(path, _CHUNK_BYTES)) as pieces:
        async for data in pieces:
            yield data
            sent_bytes += len(data)
            if counter is not None:
                counter(sent_bytes)


def closure(root: Descriptor, content: BlobReader) -> tuple[list[Descriptor], list[Descriptor]]:
    """The manifests (children before parents, the root last) and the distinct blobs below a root.
    Layers that may not be distributed are left out."""
    order: list[Descriptor] = []
    blobs: dict[str, Descriptor] = {}
    begun: set[str] = set()
    rest = [(root, False)]
    while rest:  # no recursion: an index may name another, and so on for as long as one likes
        entry, is_done = rest.pop()
        if is_done:
            order.append(entry)
        elif entry.digest in begun:
            continue
        elif entry.media_type in media.INDEX_TYPES | media.MANIFEST_TYPES:
            begun.add(entry.digest)
            rest.append((entry, True))
            rest += ((child, False) for child in reversed(_children(entry, content)))
        elif not is_foreign(entry):
            blobs.setdefault(entry.digest, entry)
    if not order:
        raise InvalidRequest(f"{root.media_type} is not a manifest that can be pushed")
    return order, list(blobs.values())


def _children(entry: Descriptor, content: BlobReader) -> Sequence[Descriptor]:
    """What an index or a manifest names, in order."""
    data = content.read(entry.digest)
    if entry.media_type in media.INDEX_TYPES:
        return manifests.parse_index(data).manifests
    parsed = manifests.parse_manifest(data)
    return [parsed.config, *(parsed.layers or ())]


def is_foreign(descriptor: Descriptor) -> bool:
    """Layers that registries must not be given."""
    return ".foreign." in descriptor.media_type or ".nondistributable." in descriptor.media_type
