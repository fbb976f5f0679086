"""A daemon that is dialled by its address may be a BuildKit: it keeps no images."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from croze.api import worker_pb2
from croze.client.build import met, run_build
from croze.client.builder import BuilderTraits, crozed
from croze.client.connect import Client
from croze.client.options import BuildOptions
from croze.client.plan import SolvePlan
from croze.client.planning import make_plan
from croze.client.solve import NotCrozed, OnStatus, SolveResult
from croze.client.unreachable import clearer
from croze.errors import Unavailable, Unsupported
from croze.progress.quiet import QuietDisplay
from croze.rpc.channel import Channel
from croze.rpc.held import Work
from croze.session import serve


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
async def test_a_buildkit(
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


async def test_a_crozed(caplog: pytest.LogCaptureFixture) -> None:
    for options in (BuildOptions(), BuildOptions(load=True)):
        assert await exports("croze", options) == ["image"]
        assert await exports("github.com/moby/buildkit", options, sure=True) == ["image"]
    assert caplog.text == ""


class Near(Daemon):
    """One on this machine, which says what it is when it takes the session."""

    def __init__(self, package: str) -> None:
        super().__init__(package)
        self.solves: list[tuple[list[str], bool]] = []
        self.asked = 0

    async def beside_us(self) -> bool:
        return True

    async def info(self) -> worker_pb2.BuildkitVersion:
        self.asked += 1
        return await super().info()

    async def solve(
        self,
        plan: SolvePlan,
        on_status: OnStatus | None = None,
        *,
        work: Work | None = None,
        only_crozed: bool = False,
    ) -> SolveResult:
        self.solves.append(([export.type for export in plan.exports], only_crozed))
        if only_crozed and self.package != "croze":
            raise NotCrozed
        return SolveResult(plan.ref)


async def test_who_takes_the_session_need_not_be_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    options = BuildOptions(context=str(tmp_path))
    near = Near("croze")
    await run_build(near, options, QuietDisplay(), builder=crozed(sure=False))
    assert (near.asked, near.solves) == (0, [(["image"], True)])
    assert caplog.text == ""
    near = Near("github.com/moby/buildkit")
    await run_build(near, options, QuietDisplay(), builder=crozed(sure=False))
    assert (near.asked, near.solves) == (1, [(["image"], True), ([], False)])
    assert "No output specified with remote driver." in caplog.text


async def test_a_daemon_that_says_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have nothing to say before it asks something of the session."""
    asked = asyncio.Event()

    class Silent:
        async def initial_metadata(self) -> None:
            asked.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(serve, "SAYS_SO_S", 0.01)
    session = serve.LentSession("id")
    assert not await session.of_crozed()
    session.begin(Silent())  # type: ignore[arg-type]
    assert not await session.of_crozed()
    assert asked.is_set()


def test_whose_connection_failed() -> None:
    """The daemon's own troubles are not taken for ours."""
    text = "failed to connect to unix:///run/other.sock: connection refused"
    error = Unavailable(text)
    assert clearer(error, "unix:///run/crozed.sock") is error
    assert str(clearer(error, "unix:///run/other.sock")).startswith("there is no daemon at unix://")
