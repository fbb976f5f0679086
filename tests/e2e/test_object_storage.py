"""The object caches' contract on moto's S3 and on Azurite, which check signatures."""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from croze.clouds.aws import CredentialChain
from croze.clouds.azure import DefaultIdentity
from croze.errors import CrozeError, PermissionDenied
from croze.http.daemon import HttpClient
from croze.remotecache.objects import azblob, azblob_options, azure_blobs, pace, s3, s3_options
from croze.remotecache.objects.azblob import AzblobCache
from croze.remotecache.objects.contract import ObjectCache
from croze.remotecache.objects.s3 import S3Cache
from croze.remotecache.objects.transfer import ObjectRetry
from croze.status import Silent
from tests.conformance.object_caches import Blob, ObjectCacheSuite, Storage, read, write
from tests.support.clouds import ACCOUNT, ACCOUNT_KEY, BUCKET, REGION, Keys, Moto
from tests.support.faulty_proxy import Fault, Proxy, faulty_proxy

PIECE = 5 << 20
"""S3 takes no smaller ones."""
NUMBERS = itertools.count()
QUICK = ObjectRetry(attempts=4, first_s=0.01)


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


# Amazon's


@pytest.fixture
def s3_proxy(s3_server: Moto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setattr(s3, "WHOLE_BYTES", PIECE)
    monkeypatch.setattr(s3, "PART_BYTES", PIECE)
    with faulty_proxy(s3_server.url) as proxy:
        yield proxy


def s3_cache(http: HttpClient, url: str, keys: Keys | None, **attrs: str) -> S3Cache:
    said = {"endpoint_url": url, "use_path_style": "true", "bucket": BUCKET, "region": REGION}
    if keys is not None:
        said |= {"access_key_id": keys.id, "secret_access_key": keys.secret}
        said |= {"session_token": keys.token} if keys.token else {}
    return s3.open_s3(s3_options.parse(said | attrs), CredentialChain(), http, QUICK)


class TestS3(ObjectCacheSuite):
    @pytest.fixture
    async def storage(self, http: HttpClient, s3_server: Moto, s3_proxy: Proxy) -> Storage:
        prefix = f"//a b/{next(NUMBERS)}+ü&%2F/"
        wrong = replace(s3_server.user, secret="n0t-the-secret-of-this-key")

        async def opened(keys: Keys) -> ObjectCache:
            return s3_cache(http, s3_proxy.url, keys, prefix=prefix)

        return Storage(
            lambda: opened(s3_server.user),
            lambda: opened(wrong),
            wrong.secret,
            s3_proxy,
            PIECE,
            "GET /cache///a%20b/",
        )

    async def test_a_broken_off_upload_leaves_no_parts(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        blob = Blob.of(tmp_path, PIECE * 2)
        storage.proxy.faults += [Fault("partNumber=2", "status", 403)]
        with pytest.raises(CrozeError, match="operation error S3: UploadPart"):
            await write(await storage.open(), blob)
        assert any(line.startswith("DELETE") for line in storage.proxy.seen)
        await write(await storage.open(), blob)

    async def test_copies_that_fail_after_all_are_told(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        """S3 says 200 before it knows."""
        said = b"<Error><Code>InternalError</Code><Message>we know &lt;now&gt;</Message></Error>"
        blob = Blob.of(tmp_path, PIECE * 2)
        storage.proxy.faults += [Fault("?uploadId=", "status", 200, body=said) for _ in range(4)]
        with pytest.raises(CrozeError, match="api error InternalError: we know <now>"):
            await write(await storage.open(), blob)


async def test_the_keys_of_a_role(
    http: HttpClient, s3_server: Moto, s3_proxy: Proxy, tmp_path: Path
) -> None:
    blob = Blob.of(tmp_path, 100)
    await write(s3_cache(http, s3_proxy.url, s3_server.role, prefix="role/"), blob)
    other = replace(s3_server.role, token="another token")
    with pytest.raises(CrozeError, match="failed to check file presence in cache: operation"):
        await write(s3_cache(http, s3_proxy.url, other, prefix="role/"), blob)


async def test_the_daemons_own_keys(
    http: HttpClient,
    s3_server: Moto,
    s3_proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the environment, and from a profile: what botocore finds."""
    blob = Blob.of(tmp_path, 100)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.user.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.user.secret)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    await write(s3_cache(http, s3_proxy.url, None, prefix="own/"), blob)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    profile = f"[p]\naws_access_key_id={s3_server.user.id}\n"
    (tmp_path / "credentials").write_text(
        f"{profile}aws_secret_access_key={s3_server.user.secret}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "p")
    cache = s3_cache(http, s3_proxy.url, None, prefix="own/")
    assert await read(cache, blob.described) == blob.data


async def test_no_keys_at_all(
    http: HttpClient, s3_proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PermissionDenied, match="HeadObject, get identity: get credentials: failed"):
        await write(s3_cache(http, s3_proxy.url, None), Blob.of(tmp_path, 100))


async def test_a_storage_that_has_had_too_many_requests(
    http: HttpClient,
    s3_server: Moto,
    s3_proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "_LEAST_PER_S", 1000.0)
    cache = s3_cache(http, s3_proxy.url, s3_server.user, prefix="pace/", retry_mode="adaptive")
    blob, slow_down = Blob.of(tmp_path, 100), b"<Error><Code>SlowDown</Code></Error>"
    told = cache.requests.sender.pace
    assert told is not None
    s3_proxy.faults.append(Fault("PUT", "status", 503, body=slow_down))
    await write(cache, blob)
    assert told._held_back
    assert await read(cache, blob.described) == blob.data
    plain = s3_cache(http, s3_proxy.url, s3_server.user, prefix="pace/")
    assert plain.requests.sender.pace is None


@pytest.mark.parametrize(("refresh", "renewed"), [("24h", False), ("-1s", True)])
async def test_blobs_are_renewed(
    http: HttpClient,
    s3_server: Moto,
    s3_proxy: Proxy,
    tmp_path: Path,
    refresh: str,
    renewed: bool,
) -> None:
    blob, prefix = Blob.of(tmp_path, 100), f"touch-{refresh}/"
    cache = s3_cache(http, s3_proxy.url, s3_server.user, prefix=prefix, touch_refresh=refresh)
    await write(cache, blob)
    del s3_proxy.headers[:]
    await write(cache, blob)
    copies = [each for each in s3_proxy.headers if "x-amz-copy-source" in each]
    assert bool(copies) == renewed
    assert blob.brought == 1
    assert await read(cache, blob.described) == blob.data


async def test_large_blobs_are_renewed_in_parts(
    http: HttpClient,
    s3_server: Moto,
    s3_proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "COPY_BYTES", PIECE)
    blob = Blob.of(tmp_path, PIECE * 2 + 1)
    cache = s3_cache(http, s3_proxy.url, s3_server.user, prefix="large/", touch_refresh="-1s")
    await write(cache, blob)
    await write(cache, blob)
    assert sum("partNumber" in line and "PUT" in line for line in s3_proxy.seen) == 6
    assert await read(cache, blob.described) == blob.data


async def test_an_index_of_several_names_is_written_under_all_and_read_from_the_first(
    http: HttpClient, s3_server: Moto, s3_proxy: Proxy
) -> None:
    several = s3_cache(http, s3_proxy.url, s3_server.user, prefix="names/", name="one;two")
    await several.write_configs(b"{}", Silent())
    for name, there in (("one", 1), ("two;one", 1), ("three;one", 0)):
        cache = s3_cache(http, s3_proxy.url, s3_server.user, prefix="names/", name=name)
        assert len(await cache.read_configs(Silent())) == there, "the first is read"


async def test_a_bucket_that_is_not_there(
    http: HttpClient, s3_server: Moto, s3_proxy: Proxy
) -> None:
    cache = s3_cache(http, s3_proxy.url, s3_server.user, bucket="nowhere")
    with pytest.raises(CrozeError, match="NoSuchBucket"):
        await cache.read_configs(Silent())
    with pytest.raises(CrozeError, match=r"error writing manifest: buildkit: .*NoSuchBucket"):
        await cache.write_configs(b"{}", Silent())


# Azure's


@pytest.fixture
def azure_proxy(azure_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setattr(azure_blobs, "BLOCK_BYTES", PIECE)
    with faulty_proxy(azure_server) as proxy:
        yield proxy


async def azure_cache(http: HttpClient, url: str, key: str, **attrs: str) -> AzblobCache:
    said = {"account_url": url, "account_name": ACCOUNT, "secret_access_key": key}
    options = azblob_options.parse({**said, "container": "cases", **attrs})
    cache = azblob.open_azblob(options, DefaultIdentity(), http, QUICK)
    await cache.open()
    return cache


class TestAzure(ObjectCacheSuite):
    @pytest.fixture
    async def storage(self, http: HttpClient, azure_proxy: Proxy) -> Storage:
        prefix = f"a b/{next(NUMBERS)}+ü&%2F"
        wrong = base64.b64encode(b"not the key of this account").decode()

        async def opened(key: str) -> ObjectCache:
            return await azure_cache(http, azure_proxy.url, key, prefix=prefix)

        return Storage(
            lambda: opened(ACCOUNT_KEY),
            lambda: opened(wrong),
            wrong,
            azure_proxy,
            PIECE,
            f"GET /{ACCOUNT}/cases/a%20b/",
        )


async def test_all_names_are_read(http: HttpClient, azure_proxy: Proxy) -> None:
    one = await azure_cache(http, azure_proxy.url, ACCOUNT_KEY, name="one")
    await one.write_configs(b"1", Silent())
    two = await azure_cache(http, azure_proxy.url, ACCOUNT_KEY, name="two;three;one")
    assert list(await two.read_configs(Silent())) == [b"1"]
    await two.write_configs(b"2", Silent())
    assert list(await two.read_configs(Silent())) == [b"2", b"2", b"2"]
    assert list(await one.read_configs(Silent())) == [b"2"]


async def test_tokens_do_not_go_out_in_the_clear(http: HttpClient, azure_proxy: Proxy) -> None:
    with pytest.raises(PermissionDenied, match="not permitted for non TLS"):
        await azure_cache(http, azure_proxy.url, "", container="other")
    assert not azure_proxy.seen
