"""Images as sources: a real registry, a real store, a real session."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest

from croze.digests import digest_of
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.image.config import chain_id
from croze.image.platform import Platform
from croze.registry import push
from croze.registry.hosts import Endpoint
from croze.registry.transport import RegistryRequest, Transport
from croze.session.providers.content import ContentProvider
from croze.sources.content import fetcher_of
from croze.sources.image import ImageSource, ImageSources, manifest_key
from croze.sources.request import SourceRequest
from croze.store.contract import ImmutableRef
from tests.registry.blobs import Folder
from tests.session.conftest import Daemon, Lend
from tests.sources.rig import Rig, add_image, open_rig
from tests.sources.uploads import upload

pytestmark = pytest.mark.root

AMD = Platform("amd64", "linux")
ARM = Platform("arm64", "linux")


def open_source(
    rig: Rig,
    identifier: str,
    attrs: Mapping[str, str] | None = None,
    platform: Platform | None = AMD,
) -> ImageSource:
    sources = ImageSources(rig.images, rig.store.refs)
    source = sources.open(SourceRequest(identifier, attrs or {}, platform))
    assert isinstance(source, ImageSource)
    return source


async def files(ref: ImmutableRef) -> dict[str, bytes]:
    async with ref.mounted(readonly=True) as root:
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


async def test_keys_and_content(rig: Rig, host: str, content: Folder) -> None:
    image = add_image(content, {"a": b"one"}, {"b": b"two"})
    index = content.index({AMD: image, ARM: add_image(content, {"a": b"arm"}, arch="arm64")})
    await upload(rig.registry, f"{host}/app:1", index, content)
    source = open_source(rig, f"docker-image://{host}/app:1")
    ctx = rig.source_context()
    first, second = await source.key(ctx, 0), await source.key(ctx, 1)
    config = json.loads(content.read(json.loads(content.read(image.digest))["config"]["digest"]))
    assert first.key == digest_of(
        f'{{"Digest":"{index.digest}","OS":"linux","Arch":"amd64"}}'.encode()
    )
    assert (first.pin, first.done) == (index.digest, False)
    assert (second.key, second.done) == (chain_id(config["rootfs"]["diff_ids"]), True)
    layers = json.loads(content.read(image.digest))["layers"]
    assert not any(rig.store.blobs.has(layer["digest"]) for layer in layers)
    ref = await source.snapshot(ctx)
    assert ref is not None
    assert ref.lazy
    assert await files(ref) == {"a": b"one", "b": b"two"}
    assert rig.progress.unfinished() == []
    assert f"resolve {host}/app:1" in rig.progress.statuses
    for layer in layers:
        assert rig.progress.statuses[layer["digest"]][:2] == (layer["size"], layer["size"])
    await ref.release()


async def test_layer_limit_and_checksum(rig: Rig, host: str, content: Folder) -> None:
    image = add_image(content, {"a": b"one"}, {"b": b"two"})
    await upload(rig.registry, f"{host}/limit:1", image, content)
    name, ctx = f"docker-image://{host}/limit:1", rig.source_context()
    source = open_source(rig, name, {"image.layerlimit": "1"})
    assert (await source.key(ctx, 0)).key == manifest_key(image.digest, AMD, 1)
    ref = await source.snapshot(ctx)
    assert ref is not None
    assert await files(ref) == {"a": b"one"}
    await ref.release()
    with pytest.raises(InvalidRequest, match="layer limit 3 is greater than the number of layers"):
        await open_source(rig, name, {"image.layerlimit": "3"}).key(ctx, 0)
    with pytest.raises(CrozeError, match="does not match expected checksum"):
        await open_source(rig, name, {"image.checksum": "sha256:" + "0" * 64}).key(ctx, 0)


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"image.layerlimit": "0"}, "invalid layer limit 0"),
        ({"image.resolvemode": "x"}, "invalid resolvemode: x"),
        ({"image.recordtype": "x"}, "invalid record type x"),
        ({"image.checksum": "x"}, "invalid image checksum x: invalid checksum digest format"),
    ],
)
async def test_bad_attributes(rig: Rig, attrs: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_source(rig, "docker-image://docker.io/library/x:1", attrs)
    assert str(caught.value) == message


async def test_an_image_without_layers(rig: Rig, host: str, content: Folder) -> None:
    image = add_image(content)
    await upload(rig.registry, f"{host}/empty:1", image, content)
    source = open_source(rig, f"docker-image://{host}/empty:1")
    ctx = rig.source_context()
    assert (await source.key(ctx, 1)).key == (await source.key(ctx, 0)).key
    assert await source.snapshot(ctx) is None


async def test_no_such_image_or_platform(rig: Rig, host: str, content: Folder) -> None:
    with pytest.raises(NotFound) as caught:
        await rig.images.resolve_config(f"{host}/nothing:1", AMD, "default", ())
    assert str(caught.value) == f"{host}/nothing:1: not found"
    index = content.index({ARM: add_image(content, {"a": b"1"}, arch="arm64")})
    await upload(rig.registry, f"{host}/arm:1", index, content)
    with pytest.raises(NotFound) as caught:
        await rig.images.resolve_config(f"{host}/arm:1", AMD, "default", ())
    assert str(caught.value) == "no match for platform in manifest: not found"


async def test_a_known_digest_is_not_asked_for(
    rig: Rig, host: str, content: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = add_image(content, {"a": b"one"})
    await upload(rig.registry, f"{host}/known:1", image, content)
    found = await rig.images.resolve_config(f"{host}/known:1", AMD, "default", ())
    assert found.digest == image.digest
    asked: list[str] = []
    transport = rig.registry.transport
    send = transport.send

    def counted(
        endpoint: Endpoint, request: RegistryRequest
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        asked.append(request.method)
        return send(endpoint, request)

    monkeypatch.setattr(transport, "send", counted)
    await rig.images.resolve_config(f"{host}/known:1", AMD, "default", ())
    assert asked == ["HEAD"]
    pinned = f"{host}/known:1@{image.digest}"
    await rig.images.resolve_config(pinned, AMD, "default", ())
    source = open_source(rig, f"docker-image://{pinned}")
    await source.key(rig.source_context(), 0)
    assert asked == ["HEAD"]


async def test_the_next_daemon_asks_what_this_one_would(
    tmp_path: Path,
    daemon: Daemon,
    lending: Lend,
    host: str,
    content: Folder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By HEAD, of what is still here, since registries count manifests; of a digest, nothing."""
    name, asked = f"{host}/kept:1", list[str]()
    once = Transport._once

    async def counted(
        self: Transport, endpoint: Endpoint, request: RegistryRequest, header: str | None
    ) -> aiohttp.ClientResponse:
        asked.append(request.method)
        return await once(self, endpoint, request, header)

    async with open_rig(tmp_path / "root", daemon, lending) as first:
        image = add_image(content, {"a": b"one"})
        await upload(first.registry, name, image, content)
        await first.images.resolve_config(name, AMD, "default", ())
    monkeypatch.setattr(Transport, "_once", counted)
    async with open_rig(tmp_path / "root", daemon, lending) as second:
        found = await second.images.resolve_config(name, AMD, "default", ())
        assert (found.digest, asked) == (image.digest, ["HEAD"])
        await second.images.resolve_config(f"{name}@{image.digest}", AMD, "default", ())
        assert asked == ["HEAD"]
        second.store.blobs.delete(image.digest)
        await second.images.resolve_config(name, AMD, "default", ())
        assert asked == ["HEAD", "GET"]


async def test_the_local_image_store(rig: Rig, host: str, content: Folder) -> None:
    remote, local = add_image(content, {"a": b"remote"}), add_image(content, {"a": b"local"})
    await upload(rig.registry, f"{host}/both:1", remote, content)
    for entry in [*push.closure(local, content)[0], *push.closure(local, content)[1]]:
        await rig.store.blobs.put(content.read(entry.digest))
    for name in (f"{host}/both:1", f"{host}/onlylocal:1"):
        rig.store.images.set(name, local)

    async def digest(name: str, mode: str) -> str:
        return (await rig.images.resolve_config(f"{host}/{name}:1", AMD, mode, ())).digest

    assert await digest("both", "default") == remote.digest
    assert await digest("both", "pull") == remote.digest
    assert await digest("both", "local") == local.digest
    assert await digest("onlylocal", "default") == local.digest
    with pytest.raises(NotFound):
        await digest("onlylocal", "pull")
    ref = await open_source(rig, f"docker-image://{host}/onlylocal:1@{local.digest}").snapshot(
        rig.source_context()
    )
    assert ref is not None
    assert await files(ref) == {"a": b"local"}
    await ref.release()


async def test_an_oci_layout_of_a_client(rig: Rig, content: Folder, tmp_path: Path) -> None:
    image = add_image(content, {"a": b"one"})
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for entry in [image, *push.closure(image, content)[1]]:
        (blobs / entry.digest[7:]).write_bytes(content.read(entry.digest))
    provider = ContentProvider({"oci:layouts": tmp_path / "layout"})
    async with rig.client(provider) as session:
        attrs = {"oci.session": session.id, "oci.store": "layouts"}
        source = open_source(rig, f"oci-layout://x/y@{image.digest}", attrs)
        ctx = rig.source_context(session.id)
        assert (await source.key(ctx, 0)).key == manifest_key(image.digest, AMD, None)
        found = await rig.images.resolve_layout_config(
            f"x/y@{image.digest}", AMD, store="layouts", session=session.id, sessions=()
        )
        assert found.digest == image.digest
        ref = await source.snapshot(ctx)
        assert ref is not None
        assert await files(ref) == {"a": b"one"}
        await ref.release()
        missing = f"oci-layout://x/y@sha256:{'0' * 64}"
        with pytest.raises(NotFound, match="unable to get info about digest"):
            await open_source(rig, missing, attrs).key(ctx, 0)
    with pytest.raises(NotFound, match="no active sessions"):  # no registry is asked instead
        await open_source(rig, missing, {}).key(rig.source_context(), 0)
    with pytest.raises(InvalidRequest, match="must have digest"):
        await open_source(rig, "oci-layout://x/y", {"oci.store": "s"}).key(ctx, 0)


async def test_a_fetcher_is_made_anew_from_its_origin(rig: Rig) -> None:
    origin = {"kind": "registry", "ref": "docker.io/library/x:1"}
    assert fetcher_of(rig.images.access, origin).origin == origin
    with pytest.raises(InvalidRequest, match="unknown origin"):
        fetcher_of(rig.images.access, {"kind": "moon"})
