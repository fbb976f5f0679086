"""What a reference names, and that it is what it is said to be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import web
from msgspec.structs import replace

from croze.errors import Corrupted, CrozeError
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
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
