"""Solving, against a daemon of a few lines that uses what the client lends; over real gRPC."""

from __future__ import annotations

import asyncio
import base64
import json
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest

from croze import errors
from croze.aio.parallel import meanwhile
from croze.api import control_pb2
from croze.api.attrs import of_attrs
from croze.client.builds.build import clearer, run_build
from croze.client.builds.result import BuildResult
from croze.client.connect import connect
from croze.client.plan import CacheSpec, Export, LocalDir, SecretFrom, SolvePlan, ToLayout
from croze.client.planning.options import BuildOptions
from croze.progress.plain import PlainDisplay
from croze.progress.quiet import QuietDisplay
from croze.rpc.call import ServerCall
from croze.rpc.servers import aborting
from croze.session import content, filesend, filesync, secrets, upload
from croze.session.contract import Session
from croze.session.manager import Incoming
from croze.session.serve import LentSession
from tests.client.solving.daemon import Daemon
from tests.support.waiting import PATIENCE_S


@pytest.fixture
async def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    async with Daemon(tmp_path / "d.sock") as running:
        yield running


async def test_an_error_with_a_large_file_arrives(daemon: Daemon) -> None:
    """From a daemon with the limits of Go's gRPC, as BuildKit's is."""
    lines = (errors.Range(errors.Position(70_000), errors.Position(70_000)),)
    file = errors.SourceDetail("Dockerfile", b"# a comment\n" * 90_000, lines)

    async def fail(session: Session, request: object) -> dict[str, str]:
        raise errors.InvalidRequest("the real error", file)

    daemon.work = fail
    async with connect(daemon.address) as client:
        with pytest.raises(errors.InvalidRequest, match="the real error") as caught:
            await client.solve(SolvePlan(frontend="dockerfile.v0"))
    assert file in caught.value.details


@pytest.fixture
def context_dir(tmp_path: Path) -> Path:
    path = tmp_path / "ctx"
    path.mkdir()
    (path / "Dockerfile").write_text("FROM scratch\n")
    return path


@pytest.mark.parametrize("patience_s", [0.0, 1000.0])
async def test_a_status_that_came_too_early_is_asked_for_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> None:
    """After a while: one that is refused at once has no solve to wait for."""
    monkeypatch.setattr("croze.client.solving.solve.PATIENCE_S", patience_s)
    daemon.late = 2
    got: list[control_pb2.StatusResponse] = []
    async with connect(daemon.address) as client:
        if not patience_s:
            await client.solve(SolvePlan(), got.append)
            assert len(got) == 2
        else:
            with pytest.raises(errors.NotFound, match=r"failed to receive status: .*no such job"):
                await client.solve(SolvePlan(), got.append)


async def test_a_plan_becomes_a_solve_request(daemon: Daemon) -> None:
    plan = SolvePlan(
        frontend="dockerfile.v0",
        frontend_attrs={"target": "t"},
        exports=[Export("image", {"name": "x"}), Export("cacheonly")],
        cache_from=[CacheSpec("registry", {"ref": "r"})],
        cache_to=[CacheSpec("inline")],
        entitlements=["network.host"],
        ref="ref1",
    )
    statuses: list[control_pb2.StatusResponse] = []
    async with connect(daemon.address) as client:
        result = await client.solve(plan, statuses.append)
    request = daemon.requests[0]
    assert result.ref == request.Ref == "ref1"
    assert of_attrs(request.FrontendAttrs) == {
        "target": "t",
        "cache-imports": '[{"Type":"registry","Attrs":{"ref":"r"}}]',
    }
    assert [e.Type for e in request.Exporters] == ["image", "cacheonly"]
    assert request.ExporterDeprecated == "image"
    assert [e.Type for e in request.Cache.Exports] == ["inline"]
    assert list(request.Entitlements) == ["network.host"]
    assert [s.vertexes[0].HasField("completed") for s in statuses] == [False, True]


class OneFile:
    """A `Sink` for a directory of one file: what that holds."""

    contents = b""

    def recall(self, packets: object, start: int) -> int:
        return 0

    def stat(self, entry: object, packet: bytes) -> int | None:
        return 0

    def data(self, id: int, data: bytes | memoryview) -> None:
        self.contents += data

    def end(self, id: int) -> None: ...

    def finish(self) -> bytes:
        return self.contents

    def abort(self) -> None: ...


async def test_a_build_with_all_that_is_lent(daemon: Daemon, context_dir: Path) -> None:
    tar = BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.add(context_dir / "Dockerfile", "Dockerfile")

    async def work(session: Session, request: control_pb2.SolveRequest) -> dict[str, str]:
        assert await secrets.get_secret(session, "s") == b"value"
        dockerfile = await filesync.receive_dir(
            session, filesync.DirRequest("dockerfile", include=("Dockerfile",)), OneFile()
        )
        assert dockerfile == b"FROM scratch\n"
        url = f"http://buildkit-session/{'u' * 5}"
        pulled = b"".join([piece async for piece in upload.pull(session, url)])
        assert pulled == tar.getvalue()
        async with filesend.file_writer(session, 0) as writer:
            await writer.write(pulled)
        return {"containerimage.digest": "sha256:1"}

    daemon.work = work
    out = context_dir.parent / "out.tar"
    from croze.client.plan import ToFile

    plan = SolvePlan(
        frontend="dockerfile.v0",
        exports=[Export("tar", {}, ToFile(out))],
        local_dirs={"dockerfile": LocalDir(context_dir)},
        secrets=[SecretFrom("s", value=b"value")],
        uploads={"u" * 5: BytesIO(tar.getvalue())},
    )
    async with connect(daemon.address) as client:
        result = await client.solve(plan)
    assert result.exporter_response == {"containerimage.digest": "sha256:1"}
    assert out.read_bytes() == tar.getvalue()


async def test_a_layout_gets_its_index(daemon: Daemon, tmp_path: Path) -> None:
    blob = b"{}"
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield blob

    async def work(session: Session, request: control_pb2.SolveRequest) -> dict[str, str]:
        await content.LentStore(session, "export").write(digest, len(blob), pieces())
        descriptor = json.dumps({"digest": digest, "size": 2}).encode()
        return {
            "containerimage.descriptor": base64.b64encode(descriptor).decode(),
            "image.name": "docker.io/library/x:v1",
        }

    daemon.work = work
    plan = SolvePlan(frontend="f", exports=[Export("oci", {}, ToLayout(tmp_path / "layout"))])
    async with connect(daemon.address) as client:
        await client.solve(plan)
    index = json.loads((tmp_path / "layout/index.json").read_text())
    assert index["manifests"][0]["digest"] == digest
    assert (tmp_path / "layout/blobs/sha256" / digest[7:]).read_bytes() == blob


async def test_errors_keep_their_details(daemon: Daemon) -> None:
    detail = errors.SourceDetail(
        "Dockerfile",
        b"FROM x\n",
        (errors.Range(errors.Position(1), errors.Position(1)),),
    )

    async def work(session: Session, request: control_pb2.SolveRequest) -> dict[str, str]:
        raise errors.ExitError('process "false" failed: exit code: 3', 3, detail)

    daemon.work = work
    async with connect(daemon.address) as client:
        with pytest.raises(errors.ExitError) as caught:
            await client.solve(SolvePlan(frontend="f"))
    assert str(caught.value) == 'failed to solve: process "false" failed: exit code: 3'
    assert caught.value.exit_code == 3
    assert caught.value.details[0] == detail


async def test_cancelling_cancels_the_solve(daemon: Daemon) -> None:
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work(session: Session, request: control_pb2.SolveRequest) -> dict[str, str]:
        started.set_result(session.id)
        await asyncio.Event().wait()
        return {}

    daemon.work = work
    statuses: list[control_pb2.StatusResponse] = []
    async with connect(daemon.address) as client:
        solving = asyncio.get_running_loop().create_task(
            client.solve(SolvePlan(frontend="f"), statuses.append)
        )
        session_id = await started
        solving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await solving
    await asyncio.wait_for(daemon.cancelled.wait(), PATIENCE_S)
    assert statuses[-1].vertexes[0].HasField("completed")
    async with asyncio.timeout(PATIENCE_S):  # the daemon notices in its own time
        while daemon.sessions.current(session_id):
            await asyncio.sleep(0.01)


async def test_who_leaves_waits_for_no_end_of_the_status(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("croze.client.solving.solve.LEAVING_S", 0.1)
    daemon.is_talkative = True
    heard = asyncio.Event()

    async def work(session: Session, request: control_pb2.SolveRequest) -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    daemon.work = work
    async with connect(daemon.address) as client, asyncio.TaskGroup() as group:
        solving = group.create_task(client.solve(SolvePlan(), lambda _: heard.set()))
        await asyncio.wait_for(heard.wait(), PATIENCE_S)
        solving.cancel()
        done, _ = await asyncio.wait({solving}, timeout=PATIENCE_S)
        daemon.is_talkative = False
        assert done


async def test_a_session_that_is_refused_ends_the_solve(daemon: Daemon) -> None:
    """Which would wait for it, as long as daemons do."""
    never = asyncio.Event()

    async def refuse(incoming: object, context: ServerCall) -> None:
        async with aborting(context):
            await asyncio.wait_for(daemon.asked.wait(), PATIENCE_S)
            raise errors.PermissionDenied("no sessions for you")

    async def get(id: str, timeout_s: float = 0) -> Session:
        daemon.asked.set()
        await never.wait()
        raise AssertionError

    daemon.sessions.handle = refuse  # type: ignore[method-assign]
    daemon.sessions.get = get  # type: ignore[method-assign]
    async with connect(daemon.address) as client:
        with pytest.raises(
            errors.PermissionDenied, match=r"^failed to solve: no sessions for you$"
        ):
            await client.solve(SolvePlan(frontend="f"))
    await asyncio.wait_for(daemon.cancelled.wait(), PATIENCE_S)


async def test_a_session_that_is_lost_on_its_way_ends_no_solve(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy may have cut it, and nothing may be wanted of it any more."""
    handle, used, noticed = daemon.sessions.handle, asyncio.Event(), asyncio.Event()
    mark_closed = LentSession.mark_closed

    async def cut(incoming: Incoming, context: ServerCall) -> None:
        async with meanwhile() as beside:
            beside.begin(handle(incoming, context))
            await used.wait()
            raise errors.CrozeError("stream terminated by RST_STREAM")

    async def work(session: Session, request: object) -> dict[str, str]:
        assert await secrets.get_secret(session, "s") == b"value"
        used.set()
        await asyncio.wait_for(noticed.wait(), PATIENCE_S)
        return {"a": "b"}

    def noticing(session: LentSession) -> None:
        mark_closed(session)
        noticed.set()

    daemon.sessions.handle = cut  # type: ignore[method-assign]
    daemon.work = work
    monkeypatch.setattr(LentSession, "mark_closed", noticing)
    async with connect(daemon.address) as client:
        plan = SolvePlan(frontend="f", secrets=[SecretFrom("s", value=b"value")])
        assert (await client.solve(plan)).exporter_response == {"a": "b"}


async def test_a_daemon_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async with connect(f"unix://{tmp_path}/none.sock") as client:
        with pytest.raises(errors.Unavailable):
            await client.solve(SolvePlan(frontend="f"))
        with pytest.raises(errors.CrozeError):
            await client.wait_ready(0.05)
    with pytest.raises(errors.InvalidRequest, match="must be unix:// or tcp://"):
        async with connect("http://x"):
            pass


async def test_plain_calls_of_the_control_service(daemon: Daemon) -> None:
    async with connect(daemon.address) as client:
        assert (await client.wait_ready(10)).version == "v9"
        assert (await client.info()).version == "v9"
        assert [r.ID async for r in client.prune(keep_duration_s=2)] == ["a", "b"]
        with pytest.raises(errors.Unsupported):
            await client.workers()


class ClosedDisplay(QuietDisplay):
    """Remembers that it was closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def test_a_whole_build(daemon: Daemon, context_dir: Path, tmp_path: Path) -> None:
    async def work(session: Session, request: control_pb2.SolveRequest) -> dict[str, str]:
        about = base64.b64encode(b'{"a":1}').decode()
        return {"containerimage.digest": "sha256:1", "x.json": about}

    daemon.work = work
    out = BytesIO()
    options = BuildOptions(
        str(context_dir),
        iidfile=str(tmp_path / "iid"),
        metadata_file=str(tmp_path / "meta"),
    )
    async with connect(daemon.address) as client:
        result = await run_build(client, options, PlainDisplay(out))
    assert out.getvalue().decode() == "#1 step\n#1 DONE 1.0s\n"
    assert (tmp_path / "iid").read_text() == "sha256:1"
    assert json.loads((tmp_path / "meta").read_text()) == {
        "buildx.build.ref": result.ref,
        "containerimage.digest": "sha256:1",
        "x.json": {"a": 1},
    }


async def test_a_display_is_closed_when_there_is_no_plan(daemon: Daemon, tmp_path: Path) -> None:
    display = ClosedDisplay()
    async with connect(daemon.address) as client:
        with pytest.raises(errors.CrozeError, match="unable to prepare context"):
            await run_build(client, BuildOptions(str(tmp_path / "none")), display)
    assert display.is_closed


def test_an_images_id_is_its_configs_digest() -> None:
    assert BuildResult("r", {"containerimage.config.digest": "c"}).image_id == "c"
    both = {"containerimage.config.digest": "c", "containerimage.digest": "m"}
    assert BuildResult("r", both).image_id == "c"
    assert BuildResult("r").image_id == ""


def test_old_frontends_are_explained() -> None:
    missing = "failed to solve: unsupported frontend capability moby.buildkit.frontend.contexts"
    assert str(clearer(errors.Unsupported(missing))).startswith(
        "current frontend does not support --build-context."
    )
