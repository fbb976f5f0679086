"""What refers to a manifest: by the registry's own list, or by the tag that stands for one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from croze.digests import digest_of
from croze.errors import CrozeError
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.registry.client import Registry
from croze.registry.credentials import Anonymous
from croze.registry.referrers import announce, referrers
from tests.registry.servers import serve

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
SUBJECT = "sha256:" + "1" * 64
TAG = SUBJECT.replace(":", "-")
ONE = Descriptor(MANIFEST, "sha256:" + "2" * 64, 2, artifact_type="application/x")
TWO = Descriptor(MANIFEST, "sha256:" + "3" * 64, 3, artifact_type="application/y")


def listed(*found: Descriptor) -> bytes:
    entries = [
        {
            "mediaType": each.media_type,
            "digest": each.digest,
            "size": each.size,
            "artifactType": each.artifact_type,
        }
        for each in found
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


@dataclass
class Keeper:
    """A registry with a repository `x`. `lists`: whether it has the list of its own; `status`: what
    it says in place of one."""

    lists: bool = True
    status: int = 404
    found: bytes = field(default_factory=listed)
    tags: dict[str, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append(f"{request.method} {request.path}")
        kind, _, name = request.path.removeprefix("/v2/x/").partition("/")
        if kind == "referrers":
            if not self.lists:
                return web.Response(status=self.status)
            return web.Response(body=self.found, content_type=INDEX)
        if request.method == "PUT":
            self.tags[name] = await request.read()
            return web.Response(status=201)
        if name not in self.tags:
            return web.Response(status=404)
        data = self.tags[name]
        headers = {"Docker-Content-Digest": digest_of(data)}
        return web.Response(body=data, content_type=INDEX, headers=headers)


async def known(client: Registry, keeper: Keeper) -> tuple[Descriptor, ...]:
    return await _with(client, keeper, None)


async def _with(
    client: Registry, keeper: Keeper, announced: Descriptor | None
) -> tuple[Descriptor, ...]:
    app = web.Application(client_max_size=1 << 25)
    app.router.add_route("*", "/{path:.*}", keeper.handle)
    async with serve(app) as host:
        repo = client.repository(reference.parse(f"{host}/x"), Anonymous())
        if announced is None:
            return await referrers(repo, SUBJECT)
        await announce(repo, SUBJECT, announced)
        return ()


async def test_a_registry_that_keeps_lists(client: Registry) -> None:
    keeper = Keeper(found=listed(ONE, TWO), tags={TAG: listed(TWO)})
    assert await known(client, keeper) == (ONE, TWO)
    assert keeper.seen == [f"GET /v2/x/referrers/{SUBJECT}"], "the tag is not asked for"
    await _with(client, keeper, ONE)
    assert keeper.tags == {TAG: listed(TWO)}, "it knows by itself"


@pytest.mark.parametrize("status", [404, 400, 403, 405])
async def test_the_tag_stands_for_the_list(client: Registry, status: int) -> None:
    keeper = Keeper(lists=False, status=status)
    assert await known(client, keeper) == ()
    await _with(client, keeper, ONE)
    await _with(client, keeper, TWO)
    await _with(client, keeper, ONE)
    assert await known(client, keeper) == (ONE, TWO)
    assert set(keeper.tags) == {TAG}


@pytest.mark.parametrize(
    "said",
    [
        b"<html>",
        b"[]",
        b'{"manifests": [{"digest": "../../x", "mediaType": "a", "size": 1}]}',
        b'{"manifests": [{"digest": 1}]}',
        b'{"manifests": ' + b"[" * 100_000,
        b'{"a": "' + b"x" * (9 << 20) + b'"}',
    ],
    ids=["html", "list", "path", "number", "deep", "large"],
)
async def test_lists_that_are_none(client: Registry, said: bytes) -> None:
    """No list is not an empty one: who asks for signatures would hear that there are none."""
    keeper = Keeper(found=said)
    if len(said) > 8 << 20:
        assert await known(client, keeper) == (), "as if it were not there (containerd's rule)"
        return
    with pytest.raises(CrozeError, match="fetching referrers for attestation manifest"):
        await known(client, keeper)


async def test_a_registry_that_is_ill(client: Registry) -> None:
    keeper = Keeper(lists=False, status=500)
    with pytest.raises(CrozeError, match="500"):
        await known(client, keeper)
    with pytest.raises(CrozeError, match="500"):
        await _with(client, keeper, ONE)
    assert keeper.tags == {}
