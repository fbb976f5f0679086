"""GitHub's caches, opened for tests."""

from __future__ import annotations

from croze.http.daemon import HttpClient
from croze.remotecache.objects import gha, gha_options
from croze.remotecache.objects.gha import GhaCache, IndexPatience
from croze.remotecache.objects.gha_options import GhaOptions
from croze.remotecache.objects.gha_signatures import Signatures
from croze.remotecache.objects.rate_limit import RateLimit
from croze.remotecache.objects.transfer import ObjectRetry
from tests.remotecache.objects.unsigned import UNSIGNED
from tests.support.actions_cache import READ, WRITE

SCOPES = (("refs/heads/x", READ | WRITE), ("refs/heads/main", READ))


def options(url: str, token: str, version: int, **attrs: str) -> GhaOptions:
    return gha_options.parse({"url": url, "version": str(version), "token": token, **attrs})


def opened(http: HttpClient, found: GhaOptions, signatures: Signatures = UNSIGNED) -> GhaCache:
    limit = RateLimit(first_s=0.01)
    blobs = ObjectRetry(attempts=4, first_s=0.01)
    return gha.open_gha(found, http, limit, signatures, IndexPatience(0.05, 0.01), blobs)
