"""What a reference names, and that it is what it is said to be."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from aiohttp import web
from msgspec.structs import replace

from croze.errors import Corrupted, CrozeError
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.image.manifest import digest_of
from croze.registry import pull
from croze.registry.client import Registry
from tests.registry.blobs import BLOB
from tests.registry.pushing import repository
from tests.registry.servers import serve


def answering(answer: Callable[[web.Request], web.Response]) -> web.Application:
    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    return app


async def test_a_manifest_of_another_size(client: Registry, blob: Descriptor) -> None:
    """What is said of a content counts before it is looked into: it decides what is read at all."""
    smaller = replace(blob, size=blob.size - 1)
    async with serve(answering(lambda _: web.Response(body=BLOB))) as host:
        with pytest.raises(Corrupted, match=f"failed size validation: {blob.size} != "):
            await pull.fetch_manifest(repository(client, f"{host}/x"), smaller)


@pytest.mark.parametrize(
    ("told", "reference_end", "trouble"),
    [
        ("", "", ""),
        ("right", "", ""),
        ("", "@right", ""),
        ("wrong", "", "unexpected digest"),
        ("", "@wrong", "unexpected digest"),
        ("foo", "", "invalid checksum digest format"),
    ],
)
async def test_a_root_is_asked_for_once(
    client: Registry, blob: Descriptor, told: str, reference_end: str, trouble: str
) -> None:
    """By whatever digest it is called."""
    digests = {"right": blob.digest, "wrong": f"sha256:{'0' * 64}"}
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.method)
        headers = {"Docker-Content-Digest": digests.get(told, told)} if told else {}
        return web.Response(body=BLOB, content_type=media.OCI_MANIFEST, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    end = f"@{digests[reference_end[1:]]}" if reference_end else ""
    async with serve(app) as host:
        asking = pull.fetch_root(repository(client, f"{host}/x{end}"))
        if trouble:
            with pytest.raises(CrozeError, match=trouble):
                await asking
        else:
            described = replace(blob, media_type=media.OCI_MANIFEST)
            assert await asking == (described, BLOB)
    assert seen == ["GET"]


def encoded(request: web.Request) -> web.Response:
    body = gzip.compress(BLOB) if request.method == "GET" else b""
    headers = {"Content-Encoding": "gzip", "Docker-Content-Digest": digest_of(BLOB)}
    return web.Response(body=body, content_type=media.OCI_MANIFEST, headers=headers)


async def test_what_is_encoded_for_the_way(client: Registry, blob: Descriptor) -> None:
    """Though it was to come as it is."""
    manifest = replace(blob, media_type=media.OCI_MANIFEST)
    got: list[bytes] = []
    async with serve(answering(encoded)) as host:
        repo = repository(client, f"{host}/x")
        assert await pull.fetch_root(repo) == (manifest, BLOB)
        assert await pull.resolve(repo) == manifest
        assert await pull.fetch_manifest(repo, manifest) == BLOB
        await pull.fetch_blob(repo, blob, got.append)
    assert b"".join(got) == BLOB


async def test_roots_that_break_off(client: Registry, blob: Descriptor) -> None:
    answers = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal answers
        answers += 1
        response = web.StreamResponse(headers={"Content-Type": media.OCI_MANIFEST})
        response.content_length = len(BLOB)
        await response.prepare(request)
        await response.write(BLOB if answers == 3 else BLOB[:1000])
        if answers < 3:
            assert request.transport is not None
            request.transport.close()
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with serve(app) as host:
        described, data = await pull.fetch_root(repository(client, f"{host}/x"))
    assert (described.digest, data) == (blob.digest, BLOB)
    assert answers == 3
