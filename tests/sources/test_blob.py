"""Single blobs of repositories and of clients' stores."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from aiohttp import web

from croze.digests import digest_of
from croze.errors import Corrupted, CrozeError, InvalidRequest, NotFound
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.registry import push
from croze.registry.credentials import Anonymous
from croze.session.providers.content import ContentProvider
from croze.sources.blob import BlobSources, blob_key, parse_options
from croze.sources.content import LentFetcher, RegistryFetcher
from croze.sources.contract import Source
from croze.sources.request import SourceRequest
from croze.store.contract import BlobWriter
from tests.registry.blobs import Folder
from tests.registry.servers import serve
from tests.sources.rig import Rig

pytestmark = pytest.mark.root

DATA = b"blob" * 1000
HOW = {"http.filename": "blob.bin", "http.perm": "0600", "http.uid": "1", "http.gid": "2"}


def source(rig: Rig, identifier: str, attrs: Mapping[str, str]) -> Source:
    return BlobSources(rig.images, rig.store.refs).open(SourceRequest(identifier, attrs))


async def check(rig: Rig, found: Source, *sessions: str) -> None:
    ref = await found.snapshot(rig.source_context(*sessions))
    assert ref is not None
    async with ref.mounted(readonly=True) as root:
        file = root / "blob.bin"
        assert file.read_bytes() == DATA
        st = file.stat()
        assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid) == (0o600, 1, 2)
    await ref.release()


async def test_from_a_registry(rig: Rig, host: str, content: Folder) -> None:
    blob = content.add(DATA, "a/b")
    repo = rig.registry.repository(reference.parse(f"{host}/blobs"), Anonymous())
    await push.push_blob(repo, blob, content.path(blob.digest))
    await check(rig, source(rig, f"docker-image+blob://{host}/blobs@{blob.digest}", HOW))
    missing = f"docker-image+blob://{host}/blobs@sha256:{'0' * 64}"
    with pytest.raises(NotFound):
        await source(rig, missing, HOW).snapshot(rig.source_context())


async def test_from_a_client(rig: Rig, tmp_path: Path) -> None:
    digest = digest_of(DATA)
    (tmp_path / "store" / "blobs" / "sha256").mkdir(parents=True)
    (tmp_path / "store" / "blobs" / "sha256" / digest[7:]).write_bytes(DATA)
    provider = ContentProvider({"oci:store": tmp_path / "store"})
    async with rig.client(provider) as session:
        attrs = HOW | {"oci.store": "store", "oci.session": session.id}
        found = source(rig, f"oci-layout+blob://x/y@{digest}", attrs)
        await check(rig, found, session.id)


OTHER = b"what" * 1000
"""As long as `DATA`."""


async def refusal(rig: Rig, identifier: str, attrs: Mapping[str, str]) -> CrozeError:
    """Why somebody does not get what another client's build has brought."""
    assert await rig.store.blobs.put(DATA) == digest_of(DATA)
    context = rig.source_context(*filter(None, [attrs.get("oci.session")]))
    with pytest.raises(CrozeError) as caught:
        await source(rig, identifier, attrs).snapshot(context)
    return caught.value


async def test_who_knows_a_digest_may_not_read_it(rig: Rig, host: str) -> None:
    """Of an image of somebody else's, say: only the repository that is named says who may."""
    name = f"docker-image+blob://{host}/others@{digest_of(DATA)}"
    assert isinstance(await refusal(rig, name, HOW), NotFound)


async def test_a_repository_that_only_says_it_has_it(rig: Rig) -> None:
    """As one of the asking client's own may."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=OTHER)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with serve(app) as host:
        name = f"docker-image+blob://{host}/blobs@{digest_of(DATA)}"
        assert isinstance(await refusal(rig, name, HOW), Corrupted)


@pytest.mark.parametrize("there", [None, OTHER])
async def test_a_client_that_does_not_have_it(
    rig: Rig, tmp_path: Path, there: bytes | None
) -> None:
    """Or says so, and has something else."""
    digest, folder = digest_of(DATA), tmp_path / "store/blobs/sha256"
    folder.mkdir(parents=True)
    if there is not None:
        (folder / digest[7:]).write_bytes(there)
    async with rig.client(ContentProvider({"oci:store": tmp_path / "store"})) as session:
        attrs = HOW | {"oci.store": "store", "oci.session": session.id}
        error = await refusal(rig, f"oci-layout+blob://x/y@{digest}", attrs)
    assert isinstance(error, NotFound if there is None else Corrupted)


def test_keys() -> None:
    digest = "sha256:1fddeb97777c49231c44e073ad914b5b5a5bb7e6d052379936d93f3ef42c75b4"
    name = f"docker-image+blob://docker.io/library/busybox@{digest}"
    assert blob_key(parse_options(SourceRequest(name, HOW))) == (
        "sha256:7deec5b375b3d64eebd9ce9071459c1b207af82fd5f86610c0f3cd1959fdf5a5"
    )
    with pytest.raises(InvalidRequest, match="invalid checksum digest format"):
        parse_options(SourceRequest("docker-image+blob://busybox", {}))
    with pytest.raises(InvalidRequest, match="requires store id"):
        parse_options(SourceRequest(f"oci-layout+blob://x@{digest}", {}))


async def test_more_than_a_client_has_said(rig: Rig, tmp_path: Path) -> None:
    digest = digest_of(DATA)
    (tmp_path / "store/blobs/sha256").mkdir(parents=True)
    (tmp_path / "store/blobs/sha256" / digest[7:]).write_bytes(DATA)
    blobs = rig.store.blobs
    async with rig.client(ContentProvider({"oci:store": tmp_path / "store"})) as session:
        fetcher = LentFetcher(rig.images.access, "store", session.id)
        with pytest.raises(Corrupted, match=f"content {digest} is longer than 10 bytes"):
            await fetcher.fetch(Descriptor("a/b", digest, 10), blobs, [session.id])
        assert not blobs.has(digest)
        await fetcher.fetch(Descriptor("a/b", digest, len(DATA)), blobs, [session.id])
    assert blobs.has(digest)


AT_ONCE = 4
"""Blobs that a registry is asked for at once: `registry.client`."""


async def test_blobs_that_wait_for_their_turn_have_no_file_open(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image may have any number of layers."""
    blobs, writer = rig.store.blobs, rig.store.blobs.writer
    datas = {digest_of(data): data for data in (b"%d" % n for n in range(3 * AT_ONCE))}
    asked: list[str] = []
    opened = 0
    all_asked, may_answer = asyncio.Event(), asyncio.Event()

    def counted() -> AbstractAsyncContextManager[BlobWriter]:
        nonlocal opened
        opened += 1
        return writer()

    async def answer(request: web.Request) -> web.Response:
        digest = request.path.rpartition("/")[2]
        asked.append(digest)
        if len(asked) == AT_ONCE:
            all_asked.set()
        await may_answer.wait()
        return web.Response(body=datas[digest])

    monkeypatch.setattr(blobs, "writer", counted)
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with serve(app) as host, asyncio.TaskGroup() as group:
        fetcher = RegistryFetcher(rig.images.access, reference.parse(f"{host}/x"))
        for digest, data in datas.items():
            group.create_task(fetcher.fetch(Descriptor("a/b", digest, len(data)), blobs, ()))
        await all_asked.wait()
        assert (opened, len(asked)) == (AT_ONCE, AT_ONCE)
        may_answer.set()
    assert all(map(blobs.has, datas))
    assert not rig.registry.slot(host).locked()
