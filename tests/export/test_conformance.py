"""The contract of exporters, on every type there is; for an ordinary user, too, where the
end-to-end tests run this file in a user namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from croze.session.hostdir import HostDirProvider, LocalTarget
from croze.session.lent_service import LentService
from croze.session.providers.content import ContentProvider
from croze.session.providers.targets import DirTarget, FileOutput, FileTarget, TargetsProvider
from croze.store.contract import SnapshotterName
from tests.conformance.exporters import Delivery, ExporterSuite
from tests.sources.rig import Rig

pytestmark = pytest.mark.root

EPOCH = {"source-date-epoch": "1600000050"}


@pytest.fixture(params=["overlayfs", "native"])
def snapshotter(request: pytest.FixtureRequest) -> SnapshotterName:
    """Each suite on a store of each kind."""
    return "native" if request.param == "native" else "overlayfs"


class TestImage(ExporterSuite):
    @pytest.fixture(params=["image", "moby"])
    def delivery(self, request: pytest.FixtureRequest) -> Delivery:
        attrs = {"name": "x.io/conforming:1", **EPOCH}
        return Delivery(request.param, attrs, {"push": "maybe", "compression": "rar"})


class TestArchive(ExporterSuite):
    @pytest.fixture(params=["oci", "docker"])
    async def delivery(
        self, request: pytest.FixtureRequest, rig: Rig, tmp_path: Path
    ) -> AsyncIterator[Delivery]:
        target = TargetsProvider({0: FileTarget(lambda about: FileOutput(tmp_path / "out.tar"))})
        async with rig.client(target) as session:
            yield Delivery(request.param, EPOCH, {"tar": "maybe", "compression": "rar"}, session.id)


class TestLayout(ExporterSuite):
    @pytest.fixture
    async def delivery(self, rig: Rig, tmp_path: Path) -> AsyncIterator[Delivery]:
        (tmp_path / "layout" / "blobs" / "sha256").mkdir(parents=True)
        async with rig.client(ContentProvider({"export": tmp_path / "layout"})) as session:
            attrs = {"tar": "false", **EPOCH}
            yield Delivery("oci", attrs, {"compression-level": "high"}, session.id)


class TestLocal(ExporterSuite):
    @pytest.fixture(params=["transfer", "handle"])
    async def delivery(
        self, request: pytest.FixtureRequest, rig: Rig, tmp_path: Path
    ) -> AsyncIterator[Delivery]:
        out = tmp_path / "out"
        takers: list[LentService] = [TargetsProvider({0: DirTarget(out, False)})]
        if request.param == "handle":
            out.mkdir()
            takers.append(HostDirProvider({}, {0: LocalTarget(out, False)}))
        async with rig.client(*takers) as session:
            malformed = {"platform-split": "maybe", "mode": "odd"}
            yield Delivery("local", EPOCH, malformed, session.id)


class TestTar(ExporterSuite):
    @pytest.fixture
    async def delivery(self, rig: Rig, tmp_path: Path) -> AsyncIterator[Delivery]:
        target = TargetsProvider({0: FileTarget(lambda about: FileOutput(tmp_path / "out.tar"))})
        async with rig.client(target) as session:
            yield Delivery("tar", EPOCH, {"platform-split": "maybe"}, session.id)
