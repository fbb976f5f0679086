"""The caches that a daemon knows: whose credentials fetch what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from croze.errors import InvalidRequest, NotFound
from croze.remotecache.objects import opened
from croze.remotecache.objects.opened import ObjectCaches, ObjectFetcher, Presence
from croze.store.blobs import DiskBlobStore
from croze.store.trash import Trash
from tests.conformance.object_caches import Blob, write
from tests.remotecache.objects.unsigned import UNSIGNED
from tests.support.actions_cache import READ, WRITE, Fault, Service, actions_cache


@pytest.fixture
def service() -> Iterator[Service]:
    with actions_cache() as made:
        yield made


@pytest.fixture
async def caches() -> AsyncIterator[ObjectCaches]:
    made = ObjectCaches(UNSIGNED)
    yield made
    await made.close()
    await made.close()


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[DiskBlobStore]:
    trash = Trash(tmp_path)
    yield DiskBlobStore(tmp_path, trash)
    trash.close()


async def fetcher_of(caches: ObjectCaches, service: Service, scope: str) -> ObjectFetcher:
    token = service.token((scope, READ | WRITE))
    attrs = {"url_v2": service.url, "version": "2", "token": token}
    cache = await caches.open(opened.parse("gha", attrs))
    return ObjectFetcher(caches, cache.origin, cache)


async def test_the_newest_credentials_are_taken_or_else_ones_own(
    caches: ObjectCaches, service: Service, blobs: DiskBlobStore, tmp_path: Path
) -> None:
    """Another build may have opened a cache at the same place, with a token for something else."""
    ours = await fetcher_of(caches, service, "ours")
    one, two = Blob.of(tmp_path, 10), Blob.of(tmp_path, 20)
    for blob in (one, two):
        assert ours.cache is not None
        await write(ours.cache, blob)
    theirs = await fetcher_of(caches, service, "theirs")
    with pytest.raises(NotFound):
        await theirs.fetch(one.described, blobs, ())
    assert theirs.spent
    await ours.fetch(one.described, blobs, ())
    assert not ours.spent
    assert blobs.has(one.described.digest)
    service.secret = b"a new one"
    await fetcher_of(caches, service, "ours")
    await ours.fetch(two.described, blobs, ())
    assert blobs.has(two.described.digest)


async def test_what_is_not_known_after_a_restart(caches: ObjectCaches, service: Service) -> None:
    ours = await fetcher_of(caches, service, "ours")
    assert caches.fetcher(ours.origin) is not None
    again = ObjectCaches(UNSIGNED)
    with pytest.raises(NotFound, match="nobody has opened the gha cache since"):
        again.fetcher(ours.origin)
    own = {"bucket": "b", "region": "r", "endpoint_url": "http://127.0.0.1:1"}
    cache = await again.open(opened.parse("s3", own))
    third = ObjectCaches(UNSIGNED)
    assert third.fetcher(cache.origin) is not None, "with the daemon's own keys"
    for each in (again, third):
        await each.close()


async def test_presence_is_asked_for_once(
    caches: ObjectCaches, service: Service, tmp_path: Path
) -> None:
    ours = await fetcher_of(caches, service, "ours")
    assert ours.cache is not None
    blob = Blob.of(tmp_path, 10)
    presence = Presence(ours.cache)
    with pytest.raises(NotFound):
        await presence.check(blob.described.digest)
    await write(ours.cache, blob)
    await presence.check(blob.described.digest)
    service.faults.append(Fault("", 500))
    await presence.check(blob.described.digest)


def test_kinds() -> None:
    with pytest.raises(InvalidRequest, match="unknown cache: floppy"):
        opened.parse("floppy", {})
