"""Against Debian's `docker-registry`, with and without authentication."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from croze.aio.parallel import all_of
from croze.errors import CrozeError, NotFound
from croze.image.descriptor import Descriptor
from croze.image.platform import Platform
from croze.registry import failures, pull, push
from croze.registry.client import Registry, Repository
from croze.registry.credentials import Anonymous, Login
from tests.registry.blobs import Folder
from tests.registry.pushing import push_all, repository
from tests.registry.servers import HTPASSWD, docker_registry, token_server
from tests.support.logins import Fixed
from tests.support.waiting import PATIENCE_S

USER = Fixed(Login("user", "secret"))


async def fetch(repo: Repository, blob: Descriptor) -> bytes:
    pieces: list[bytes] = []
    async with repo.slot:
        await pull.fetch_blob(repo, blob, pieces.append)
    return b"".join(pieces)


async def test_an_index_goes_up_and_comes_down(
    client: Registry, host: str, content: Folder
) -> None:
    layer = bytes(range(256)) * 20_000
    image = content.image(layer, b"two")
    root = content.index({Platform("amd64", "linux"): image})
    repo = repository(client, f"{host}/a/b:v1")
    await push_all(repo, root, content)
    assert await pull.resolve(repo) == root
    assert await pull.fetch_manifest(repo, root) == content.read(root.digest)
    assert await pull.fetch_manifest(repo, image) == content.read(image.digest)
    blob = next(b for b in push.closure(root, content)[1] if b.size == len(layer))
    seen: list[int] = []
    pieces: list[bytes] = []
    await pull.fetch_blob(repo, blob, pieces.append, counter=seen.append)
    assert b"".join(pieces) == layer
    assert seen[-1] == len(layer)
    assert seen == sorted(seen)


async def test_resolve_by_digest(client: Registry, host: str, content: Folder) -> None:
    root = content.image(b"x")
    await push_all(repository(client, f"{host}/digest:v1"), root, content)
    assert await pull.resolve(repository(client, f"{host}/digest@{root.digest}")) == root


async def test_what_is_not_there(client: Registry, host: str, content: Folder) -> None:
    with pytest.raises(NotFound) as caught:
        await pull.resolve(repository(client, f"{host}/none"))
    assert str(caught.value) == f"{host}/none:latest: not found"
    with pytest.raises(NotFound):
        await fetch(repository(client, f"{host}/none"), content.add(b"x", "a/b"))
    with pytest.raises(NotFound):
        await pull.fetch_manifest(repository(client, f"{host}/none"), content.image())


async def test_a_blob_is_not_sent_twice(client: Registry, host: str, content: Folder) -> None:
    blob = content.add(b"once" * 1000, "a/b")
    repo = repository(client, f"{host}/once")
    await push.push_blob(repo, blob, content.path(blob.digest))
    content.path(blob.digest).unlink()
    await push.push_blob(repo, blob, content.path(blob.digest))


async def test_a_blob_is_linked_from_another_repository(
    client: Registry, host: str, content: Folder
) -> None:
    blob = content.add(b"mount" * 1000, "a/b")
    await push.push_blob(repository(client, f"{host}/from"), blob, content.path(blob.digest))
    content.path(blob.digest).unlink()
    target = repository(client, f"{host}/to")
    await push.push_blob(target, blob, content.path(blob.digest), mount_from="from")
    assert await fetch(target, blob) == b"mount" * 1000


async def test_mounting_what_is_not_there_sends_the_bytes(
    client: Registry, host: str, content: Folder
) -> None:
    blob = content.add(b"nomount" * 1000, "a/b")
    target = repository(client, f"{host}/to2")
    await push.push_blob(target, blob, content.path(blob.digest), mount_from="nothing")
    assert await fetch(target, blob) == b"nomount" * 1000


async def test_blobs_may_come_from_the_registry_they_go_to(
    host: str, content: Folder, tmp_path: Path
) -> None:
    """More at once than there are transfers to a host: none waits for one that waits for it."""
    client = Registry(max_concurrency=1)
    blobs = [content.add(f"back {n}".encode() * 1000, "a/b") for n in range(2)]
    source, target = repository(client, f"{host}/away"), repository(client, f"{host}/back")
    for blob in blobs:
        await push.push_blob(source, blob, content.path(blob.digest))

    async def move(blob: Descriptor) -> None:
        async def bring() -> Path:
            path = tmp_path / blob.digest
            path.write_bytes(await fetch(source, blob))
            return path

        await push.push_blob(target, blob, bring)

    try:
        async with asyncio.timeout(PATIENCE_S):
            await all_of(move(blob) for blob in blobs)
        assert await fetch(target, blobs[-1]) == b"back 1" * 1000
    finally:
        await client.close()


async def test_htpasswd(client: Registry, content: Folder, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = f"auth: {{htpasswd: {{realm: basic, path: {tmp_path}/htpasswd}}}}"
    with docker_registry(tmp_path, auth) as host:
        root = content.image(b"x")
        repo = repository(client, f"{host}/app:1", USER)
        await push_all(repo, root, content)
        assert await pull.resolve(repo) == root
        for who in (Anonymous(), Fixed(Login("user", "wrong"))):
            with pytest.raises(CrozeError) as caught:
                await pull.resolve(repository(client, f"{host}/app:1", who))
            assert str(caught.value).startswith(
                f"unexpected status from HEAD request to http://{host}/v2/app/manifests/1: 401"
            )


async def test_tokens(client: Registry, content: Folder, tmp_path: Path) -> None:
    async with token_server(tmp_path) as tokens:
        with docker_registry(tmp_path, tokens.registry_auth()) as host:
            root = content.image(b"x", b"y")
            repo = repository(client, f"{host}/app:1", USER)
            await push_all(repo, root, content)
            pushed_with = len(tokens.asked)
            assert set(tokens.asked) == {("GET", "repository:app:pull,push")}
            assert await pull.resolve(repository(client, f"{host}/app:1")) == root
            assert await fetch(
                repository(client, f"{host}/app:1"), push.closure(root, content)[1][1]
            )
            assert tokens.asked[pushed_with:] == [("GET", "repository:app:pull")]


async def test_pushing_without_the_right_to(
    client: Registry, content: Folder, tmp_path: Path
) -> None:
    async with token_server(tmp_path) as tokens:
        with docker_registry(tmp_path, tokens.registry_auth()) as host:
            blob = content.add(b"x", "a/b")
            with pytest.raises(failures.AccessRefused) as caught:
                await push.push_blob(
                    repository(client, f"{host}/app"), blob, content.path(blob.digest)
                )
            assert str(caught.value) == (
                "push access denied, repository does not exist or may require authorization: "
                "server message: insufficient_scope: authorization failed"
            )


async def test_token_servers_that_want_a_post(
    client: Registry, content: Folder, tmp_path: Path
) -> None:
    async with token_server(tmp_path) as tokens:
        tokens.refuse_get = True
        with docker_registry(tmp_path, tokens.registry_auth()) as host:
            blob = content.add(b"x", "a/b")
            repo = repository(client, f"{host}/app", USER)
            await push.push_blob(repo, blob, content.path(blob.digest))
            assert [method for method, _ in tokens.asked] == ["GET", "POST"]
            with pytest.raises(CrozeError, match="failed to fetch anonymous token: unexpected"):
                await pull.resolve(repository(client, f"{host}/app"))
