"""A daemon that is dialled by its address may be a BuildKit: it keeps no images."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from croze.api import worker_pb2
from croze.builders.model import BuilderNode
from croze.client.builds.build import met, planned_for
from croze.client.connect import Client
from croze.client.planning.builder import BuilderTraits, crozed, engine
from croze.client.planning.make import make_plan
from croze.client.planning.options import BuildOptions
from croze.client.unreachable import clearer
from croze.drivers.reach import Reach
from croze.drivers.remote import RemoteDriver
from croze.errors import Unavailable, Unsupported
from croze.rpc.channel import Channel
from croze.rpc.server import Server
from croze.sdk.daemons import client_builder
from tests.rpc.served import served


class Daemon(Client):
    """One that only says what it is; an empty name is one from before that could be asked."""

    def __init__(self, package: str) -> None:
        super().__init__(Channel("unix:/nowhere"))
        self.package = package

    async def info(self) -> worker_pb2.BuildkitVersion:
        if not self.package:
            raise Unsupported("unknown method Info")
        return worker_pb2.BuildkitVersion(package=self.package)


async def exports(package: str, options: BuildOptions, *, sure: bool = False) -> list[str]:
    found = await met(Daemon(package), crozed(sure=sure), options)
    assert isinstance(found, BuilderTraits)
    plan = make_plan(options, found)
    plan.close()
    return [export.type for export in plan.exports]


@pytest.mark.parametrize("package", ["github.com/moby/buildkit", ""])
async def test_a_buildkit_keeps_nothing_unless_it_is_told_where_to(
    package: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await exports(package, BuildOptions()) == []
    assert "No output specified with remote driver." in caplog.text
    caplog.clear()
    assert await exports(package, BuildOptions(load=True)) == ["docker"]
    assert await exports(package, BuildOptions(outputs=["type=cacheonly"])) == []
    assert await exports(package, BuildOptions(call="outline")) == []
    monkeypatch.setenv("BUILDX_NO_DEFAULT_LOAD", "1")
    assert await exports(package, BuildOptions()) == []
    assert caplog.text == ""


async def test_a_buildkit_whose_driver_loads_by_default(caplog: pytest.LogCaptureFixture) -> None:
    endpoint = "unix:///run/b.sock"
    node = BuilderNode(name="n0", endpoint=endpoint, driver_opts={"default-load": "true"})
    driver = RemoteDriver(node)
    there = Reach(driver.dial, "b", "n0", kind="remote", driver=driver)
    found = await met(Daemon("github.com/moby/buildkit"), client_builder(there), BuildOptions())
    plan = make_plan(BuildOptions(), found)
    plan.close()
    assert [export.type for export in plan.exports] == ["docker"]
    assert caplog.text == ""


async def test_a_crozed_keeps_the_image(caplog: pytest.LogCaptureFixture) -> None:
    for options in (BuildOptions(), BuildOptions(load=True)):
        assert await exports("croze", options) == ["image"]
        assert await exports("github.com/moby/buildkit", options, sure=True) == ["image"]
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("labels", "attrs"),
    [
        ({"org.mobyproject.buildkit.worker.snapshotter": "overlayfs"}, "mode=min,inline-only=true"),
        ({}, None),
    ],
)
async def test_an_engine_with_containerds_store_keeps_the_least_provenance(
    labels: dict[str, str], attrs: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def workers() -> list[worker_pb2.WorkerRecord]:
        return [worker_pb2.WorkerRecord(Labels=labels)]

    daemon = Daemon("github.com/moby/buildkit")
    monkeypatch.setattr(daemon, "workers", workers)
    _, plan = await planned_for(daemon, engine(), BuildOptions())
    plan.close()
    assert plan.frontend_attrs.get("attest:provenance") == attrs


async def test_what_can_be_had_once_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the daemon turns out to be."""
    stdin = io.BytesIO(b"FROM scratch")

    async def is_beside_us() -> bool:
        return True

    options = BuildOptions("docker-image://base", dockerfile="-", stdin=stdin)
    daemon = Daemon("github.com/moby/buildkit")
    monkeypatch.setattr(daemon, "beside_us", is_beside_us)
    traits, plan = await planned_for(daemon, crozed(sure=False), options)
    try:
        assert (plan.local_dirs["dockerfile"].path / "Dockerfile").read_bytes() == b"FROM scratch"
    finally:
        plan.close()
    assert traits != crozed(sure=False)


async def test_a_crozed_says_so_first_of_all(tmp_path: Path) -> None:
    """Nobody need ask it: these servers have nothing to answer with."""
    for is_crozed in (True, False):
        server, path = Server(is_crozed=is_crozed), tmp_path / str(is_crozed)
        async with served(server, path) as address, Channel(address) as channel:
            assert await channel.of_crozed() is is_crozed
            if is_crozed:
                assert await Client(channel).is_crozed()
            else:
                with pytest.raises(Unsupported):
                    await Client(channel).is_crozed()
    async with Channel(f"unix:{tmp_path}/nowhere") as channel:
        assert not await channel.of_crozed()


def test_whose_connection_failed() -> None:
    """The daemon's own troubles are not taken for ours."""
    text = "failed to connect to unix:///run/other.sock: connection refused"
    error = Unavailable(text)
    assert clearer(error, "unix:///run/crozed.sock") is error
    assert str(clearer(error, "unix:///run/other.sock")).startswith("there is no daemon at unix://")
