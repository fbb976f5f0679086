"""The contract of sources, on every kind there is; for an ordinary user, too, where the end-to-end
tests run this file in a user namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from croze.digests import digest_of
from croze.registry.transport import Retry
from croze.session.hostdir import HostDirProvider
from croze.session.lent_service import LentService
from croze.session.providers.content import ContentProvider
from croze.session.providers.files import FilesProvider, LentDir
from croze.sources.blob import BlobSources
from croze.sources.git.source import GitSources
from croze.sources.http import HttpSources
from croze.sources.image import ImageSources
from croze.sources.local.source import LocalSources
from croze.sources.request import SourceRequest
from croze.store.contract import SnapshotterName
from tests.conformance.sources import Place, SourceSuite
from tests.registry.blobs import Folder
from tests.registry.servers import serve
from tests.sources.git_servers import Remote, remote, server, sources
from tests.sources.rig import Rig, add_image
from tests.sources.uploads import upload

__all__ = ["remote", "server", "sources"]

pytestmark = pytest.mark.root

FILES = {"a": b"one", "sub/b": b"two" * 1000}


@pytest.fixture(params=["overlayfs", "native"])
def snapshotter(request: pytest.FixtureRequest) -> SnapshotterName:
    """Each suite on a store of each kind."""
    return "native" if request.param == "native" else "overlayfs"


class TestLocal(SourceSuite):
    @pytest.fixture(params=["transfer", "handle"])
    async def place(
        self, request: pytest.FixtureRequest, rig: Rig, tmp_path: Path
    ) -> AsyncIterator[Place]:
        folder = tmp_path / "context"
        for name, data in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        lent: list[LentService] = [FilesProvider({"context": LentDir(folder)})]
        if request.param == "handle":
            lent.append(HostDirProvider({"context": folder}))
        factory = LocalSources(rig.store.refs, rig.daemon.sessions, rig.pool)
        async with rig.client(*lent) as session:
            asked = SourceRequest("local://context", {"local.sharedkeyhint": "hint"})
            broken = SourceRequest("local://context", {"local.includepattern": "{"})
            yield Place(factory, asked, FILES, [broken], (session.id,))


class TestHttp(SourceSuite):
    @pytest.fixture
    async def place(self, rig: Rig) -> AsyncIterator[Place]:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=b"hello\n", headers={"ETag": '"one"'})

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        factory = HttpSources(rig.store.refs, rig.daemon.sessions, Retry(0.001, 0.008))
        async with serve(app) as host:
            asked = SourceRequest(f"http://{host}/plain.txt", {})
            broken = SourceRequest(f"http://{host}/plain.txt", {"http.perm": "rwx"})
            yield Place(factory, asked, {"plain.txt": b"hello\n"}, [broken])
        await factory.close()


class TestGit(SourceSuite):
    @pytest.fixture
    def place(self, sources: GitSources, remote: Remote) -> Place:
        remote.commit({name: data.decode() for name, data in FILES.items()})
        attrs = {"git.fullurl": remote.url}
        asked = SourceRequest("git://host/app#main", attrs)
        broken = SourceRequest("git://host/app#main", {**attrs, "git.checksum": "not hex"})
        return Place(sources, asked, FILES, [broken])


class TestImage(SourceSuite):
    @pytest.fixture
    async def place(self, rig: Rig, host: str, content: Folder) -> Place:
        image = add_image(content, {"a": FILES["a"]}, {"sub/b": FILES["sub/b"]})
        await upload(rig.registry, f"{host}/conforming:1", image, content)
        factory = ImageSources(rig.images, rig.store.refs)
        asked = SourceRequest(f"docker-image://{host}/conforming:1", {})
        return Place(factory, asked, FILES, [SourceRequest("docker-image://A B", {})])


class TestOciLayout(SourceSuite):
    @pytest.fixture
    async def place(self, rig: Rig, content: Folder, tmp_path: Path) -> AsyncIterator[Place]:
        image = add_image(content, FILES)
        store = tmp_path / "store" / "blobs" / "sha256"
        store.mkdir(parents=True)
        for blob in content.path("sha256:" + "0" * 64).parent.iterdir():
            (store / digest_of(blob.read_bytes())[7:]).write_bytes(blob.read_bytes())
        factory = ImageSources(rig.images, rig.store.refs)
        async with rig.client(ContentProvider({"oci:s": tmp_path / "store"})) as session:
            attrs = {"oci.session": session.id, "oci.store": "s"}
            asked = SourceRequest(f"oci-layout://x/y@{image.digest}", attrs)
            yield Place(factory, asked, FILES, sessions=(session.id,))


class TestBlob(SourceSuite):
    @pytest.fixture
    async def place(self, rig: Rig, tmp_path: Path) -> AsyncIterator[Place]:
        data = b"blob" * 1000
        digest = digest_of(data)
        store = tmp_path / "store" / "blobs" / "sha256"
        store.mkdir(parents=True)
        (store / digest[7:]).write_bytes(data)
        factory = BlobSources(rig.images, rig.store.refs)
        async with rig.client(ContentProvider({"oci:s": tmp_path / "store"})) as session:
            attrs = {
                "oci.session": session.id,
                "oci.store": "s",
                "http.filename": "blob.bin",
            }
            asked = SourceRequest(f"oci-layout+blob://x/y@{digest}", attrs)
            broken = SourceRequest("oci-layout+blob://x/y", attrs)
            yield Place(factory, asked, {"blob.bin": data}, [broken], (session.id,))
