"""GitHub's Actions cache, both versions, on a server that checks tokens, scopes and signatures."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from croze.http.daemon import HttpClient
from croze.remotecache.objects import actions_api, azure_blobs, gha, gha_options
from croze.remotecache.objects.contract import ObjectCache
from croze.remotecache.objects.gha import GhaCache, Patience
from croze.remotecache.objects.gha_options import GhaOptions
from croze.remotecache.objects.rate_limit import RateLimit
from croze.remotecache.objects.transfer import Retry
from tests.conformance.object_caches import ObjectCacheSuite, Storage
from tests.support.actions_cache import READ, WRITE, Service, actions_cache
from tests.support.faulty_proxy import faulty_proxy

PIECE = 1 << 20
SCOPES = (("refs/heads/x", READ | WRITE), ("refs/heads/main", READ))


def options(url: str, token: str, version: int, **attrs: str) -> GhaOptions:
    return gha_options.parse({"url": url, "version": str(version), "token": token, **attrs})


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


def opened(http: HttpClient, found: GhaOptions) -> GhaCache:
    limit = RateLimit(first_s=0.01)
    blobs = Retry(attempts=4, first_s=0.01)
    return gha.open_gha(found, http, limit, None, Patience(0.05, 0.01), blobs)


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
