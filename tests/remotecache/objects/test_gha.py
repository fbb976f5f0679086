"""GitHub's Actions cache, both versions, on a server that checks tokens, scopes and signatures."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from croze.errors import CrozeError, PermissionDenied
from croze.http.daemon import HttpClient
from croze.remotecache.objects import actions_api, azure_blobs
from croze.remotecache.objects.contract import ObjectCache
from croze.remotecache.objects.gha import GhaCache
from croze.remotecache.objects.gha_options import blob_key
from croze.status import Silent
from tests.conformance.object_caches import Blob, ObjectCacheSuite, Storage, read, write
from tests.remotecache.objects.gha_caches import SCOPES, opened, options
from tests.support.actions_cache import READ, WRITE, Entry, Fault, Service, actions_cache
from tests.support.faulty_proxy import faulty_proxy

PIECE = 1 << 20
V = hashlib.sha256(b"|go-actionscache-1.0").hexdigest()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces and waits of a size for tests."""
    monkeypatch.setattr(actions_api, "CHUNK_BYTES", PIECE)
    monkeypatch.setattr(azure_blobs, "BLOCK_BYTES", PIECE)


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


class _Suite(ObjectCacheSuite):
    version = 0

    @pytest.fixture
    async def storage(self, small: None, http: HttpClient) -> AsyncIterator[Storage]:
        with actions_cache() as service, faulty_proxy(service.url) as proxy:
            service.url = proxy.url
            other = Service(secret=b"another")

            async def open_as(token: str) -> ObjectCache:
                return opened(http, options(proxy.url, token, self.version))

            secret = other.token(*SCOPES)
            yield Storage(
                lambda: open_as(service.token(*SCOPES)),
                lambda: open_as(secret),
                secret,
                proxy,
                PIECE,
                "GET /blobs/",
                "PATCH" if self.version == 1 else "PUT /blobs/",
                429 if self.version == 1 else 503,
            )


class TestFirst(_Suite):
    version = 1


class TestSecond(_Suite):
    version = 2


# What only GitHub's cache has


@pytest.fixture(params=[1, 2])
async def github(
    request: pytest.FixtureRequest, small: None, http: HttpClient
) -> AsyncIterator[GitHub]:
    with actions_cache() as service:
        yield GitHub(service, http, request.param)


@dataclass(frozen=True)
class GitHub:
    """A service, and caches there."""

    service: Service
    http: HttpClient
    version: int

    def cache(self, *scopes: tuple[str, int], **attrs: str) -> GhaCache:
        token = self.service.token(*(scopes or SCOPES))
        return opened(self.http, options(self.service.url, token, self.version, **attrs))


async def test_indexes_are_numbered(github: GitHub) -> None:
    for number in range(3):
        await github.cache().write_configs(b"%d" % number, Silent())
    short = hashlib.sha256(b"refs/heads/x").hexdigest()[:8]
    assert github.service.keys() == [f"index-buildkit-1-{short}#{n}" for n in (1, 2, 3)]
    assert list(await github.cache().read_configs(Silent())) == [b"2"]
    await github.cache(scope="other").write_configs(b"other", Silent())
    assert github.service.keys()[-1] == f"index-other-1-{short}#1"
    assert list(await github.cache(scope="other").read_configs(Silent())) == [b"other"]


async def test_an_index_whose_writer_crashed_is_passed_over(github: GitHub) -> None:
    cache = github.cache()
    await cache.api.reserve(f"{cache.options.index_key('refs/heads/x')}#1")
    await cache.write_configs(b"after", Silent())
    assert github.service.keys()[-1].endswith("#2")
    assert list(await cache.read_configs(Silent())) == [b"after"]


async def test_two_write_an_index_at_once(github: GitHub) -> None:
    async with asyncio.TaskGroup() as group:
        for data in (b"one", b"two"):
            group.create_task(github.cache().write_configs(data, Silent()))
    assert len(github.service.keys()) == 2


async def test_a_branch_falls_back_to_others(github: GitHub) -> None:
    """It reads what its token allows, and writes for itself alone."""
    main = github.cache(("refs/heads/main", READ | WRITE))
    await main.write_configs(b"main", Silent())
    await github.cache().write_configs(b"branch", Silent())
    assert list(await github.cache().read_configs(Silent())) == [b"branch", b"main"]
    assert list(await main.read_configs(Silent())) == [b"main"]
    stranger = github.cache(("refs/heads/z", READ | WRITE))
    assert list(await stranger.read_configs(Silent())) == []


async def test_who_may_only_read(github: GitHub, tmp_path: Path) -> None:
    cache = github.cache(("refs/heads/main", READ))
    with pytest.raises(PermissionDenied):
        await write(cache, Blob.of(tmp_path, 5))


async def test_all_keys_are_asked_for_at_once(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", github.service.url)
    blobs = [Blob.of(tmp_path, 10 + n) for n in range(103)]
    for blob in blobs[:102]:
        made = github.service.reserve([("refs/heads/x", WRITE)], blob_key(blob.described.digest), V)
        assert isinstance(made, Entry)
        made.committed = True
    cache = github.cache(repository="owner/name", ghtoken="rest-token")
    for blob in blobs:
        await write(cache, blob)
    assert [blob.brought for blob in blobs] == [0] * 102 + [1]
    asked = [line for line in github.service.seen if line.endswith(("/cache", "DownloadURL"))]
    assert not asked
    assert sum("/actions/caches" in line for line in github.service.seen) == 3, "two pages and one"
    refused = github.cache(repository="owner/name", ghtoken="another token")
    await write(refused, blobs[0])
    assert blobs[0].brought == 0, "then each is asked for"


async def test_too_many_requests(github: GitHub, tmp_path: Path) -> None:
    blob = Blob.of(tmp_path, 5)
    github.service.faults += [Fault("POST", 429), Fault("POST", 429, {"Retry-After": "0"})]
    await write(github.cache(), blob)
    assert not github.service.faults
    github.service.faults.append(Fault("POST", 429, {"Retry-After": "7200"}))
    with pytest.raises(CrozeError, match=r"requested delay 7200.00s exceeds maximum timeout 600s"):
        await github.cache().write_configs(b"", Silent())


async def test_no_time_for_us_at_all(github: GitHub, tmp_path: Path) -> None:
    github.service.faults += [Fault("", 429) for _ in range(50)]
    with pytest.raises(CrozeError, match="maximum timeout reached"):
        await github.cache(timeout="100ms").read_configs(Silent())


async def test_a_url_that_has_expired(github: GitHub, tmp_path: Path) -> None:
    blob, cache = Blob.of(tmp_path, 50), github.cache()
    await write(cache, blob)
    github.service.url_life_s = -1
    assert await cache.has_blob(blob.described.digest)
    github.service.url_life_s = 3600
    assert await read(cache, blob.described) == blob.data


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b"oops", r"failed to parse error response 500: oops: "),
        (500, b"{}", r"unknown error 500 Internal Server Error: \{\}"),
        (403, b'\xef\xbb\xbf{"message":"why not"}', r"^why not$"),
        (400, b'{"code":"malformed","msg":"who knows"}', r"^who knows$"),
        (200, b"[]", r"invalid response of the cache service"),
        (200, b"x" * (40 << 10), r"the answer is larger than 32768 bytes"),
    ],
)
async def test_refusals(github: GitHub, status: int, body: bytes, message: str) -> None:
    github.service.faults.append(Fault("", status, body=body))
    with pytest.raises(CrozeError, match=message):
        await github.cache().api.find("key")


async def test_addresses_that_are_not_of_the_web(github: GitHub) -> None:
    said = {"cacheKey": "key", "archiveLocation": "file:///etc/passwd", "ok": True}
    said |= {"matched_key": "key", "signed_download_url": "file:///etc/passwd"}
    github.service.faults.append(Fault("", 200, body=json.dumps(said).encode()))
    with pytest.raises(CrozeError, match='unsupported protocol scheme "file"'):
        await github.cache().api.find("key")


async def test_what_is_sent_is_not_said_again(github: GitHub) -> None:
    cache = github.cache()
    token = cache.options.token.text
    github.service.faults.append(Fault("", 403, body=json.dumps({"message": token}).encode()))
    with pytest.raises(PermissionDenied) as caught:
        await cache.api.find("key")
    assert token not in str(caught.value)
