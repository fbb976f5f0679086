"""The bridge over gRPC, as `buildx` drives it: a frontend on the client's side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from croze.api import gateway_pb2 as pb
from croze.api import gateway_pb2_grpc, ops_pb2
from croze.api.attrs import to_attrs
from croze.errors import CrozeError, InvalidRequest, NotFound, Unsupported
from croze.gateway.contract import Bridge
from croze.gateway.forward import BUILD_ID_KEY, GatewayForwarder
from croze.gateway.serve import ServedBuild
from croze.rpc.channel import Channel
from croze.rpc.clients import translated
from croze.rpc.server import Server
from croze.rpc.stand_ins import AioRpcError, RpcError, StatusCode
from croze.rpc.status import status, to_status
from croze.solver.solver import Job
from croze.status import VertexWarning
from croze.workers.shares import sharing
from tests.gateway.echo import Echo
from tests.gateway.world import World, local
from tests.rpc.served import served

METADATA = ((BUILD_ID_KEY, "build"),)


@dataclass
class Client:
    """A client, and what it talks to."""

    stub: gateway_pb2_grpc.LLBBridgeAsyncStub
    served: ServedBuild
    bridge: Bridge
    job: Job


@asynccontextmanager
async def client(
    world: World, tmp_path: Path, **inputs: ops_pb2.Definition
) -> AsyncIterator[Client]:
    forwarder = GatewayForwarder(wait_s=0)
    async with (
        world.bridge() as (bridge, job),
        serving(forwarder, tmp_path) as stub,
        forwarder.serving("build", bridge, inputs) as served,
    ):
        yield Client(stub, served, bridge, job)


@asynccontextmanager
async def serving(
    forwarder: GatewayForwarder, tmp_path: Path
) -> AsyncIterator[gateway_pb2_grpc.LLBBridgeAsyncStub]:
    server = Server()
    server.add(gateway_pb2_grpc.add_LLBBridgeServicer_to_server, forwarder.servicer())
    async with (
        served(server, tmp_path / "bridge.sock") as address,
        Channel(address) as channel,
    ):
        yield gateway_pb2_grpc.LLBBridgeStub(channel)


async def test_solve_read_and_return(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("hello")
    world = World({"ctx": tmp_path})
    base, ctx = local("base"), local("ctx")
    async with client(world, tmp_path, base=base) as c:
        pong = await c.stub.Ping(pb.PingRequest(), metadata=METADATA)
        assert {cap.ID for cap in pong.FrontendAPICaps if cap.Enabled} >= {"return", "returnmap"}
        assert [w.ID for w in pong.Workers] == ["worker"]
        inputs = await c.stub.Inputs(pb.InputsRequest(), metadata=METADATA)
        assert inputs.Definitions["base"] == base

        request = pb.SolveRequest(Definition=ctx, allowResultReturn=True, allowResultArrayRef=True)
        solved = await c.stub.Solve(request, metadata=METADATA)
        ref = solved.result.ref
        assert getattr(ref, "def") == ctx
        assert solved.ref == ""
        read = pb.ReadFileRequest(Ref=ref.id, FilePath=b"f", Range=pb.FileRange(Offset=1, Length=2))
        assert (await c.stub.ReadFile(read, metadata=METADATA)).Data == b"el"
        listed = await c.stub.ReadDir(pb.ReadDirRequest(Ref=ref.id), metadata=METADATA)
        assert b"f" in [e.path for e in listed.entries]
        stat = await c.stub.StatFile(pb.StatFileRequest(Ref=ref.id, Path=b"f"), metadata=METADATA)
        assert stat.stat.size == 5
        await c.stub.Evaluate(pb.EvaluateRequest(Ref=ref.id), metadata=METADATA)

        result = pb.Result(metadata={"k": b"v"})
        result.refs.refs["linux/amd64"].id = ref.id
        result.refs.refs["linux/arm64"].id = ""
        attestation = result.attestations["linux/amd64"].attestation.add(path="p")
        attestation.ref.id = ref.id
        await c.stub.Return(pb.ReturnRequest(result=result), metadata=METADATA)
        got = await c.served.result()
        assert got.metadata == {"k": b"v"}
        assert got.refs is not None
        assert got.refs["linux/arm64"] is None
        found = got.refs["linux/amd64"]
        assert found is not None
        assert found.id == ref.id
        assert got.attestations["linux/amd64"][0].ref is found
        with translated(), pytest.raises(RpcError, match="already set"):
            await c.stub.Return(pb.ReturnRequest(result=result), metadata=METADATA)
    assert world.ran == ["ctx"]


async def test_errors_have_no_code_that_clients_would_print(tmp_path: Path) -> None:
    """BuildKit's are `UNKNOWN`; what they are is in a detail that our own client reads."""
    async with client(World({"ctx": tmp_path}), tmp_path) as c:
        asked = pb.SolveRequest(Definition=local("ctx"), allowResultReturn=True)
        ref = (await c.stub.Solve(asked, metadata=METADATA)).result.refDeprecated
        read = pb.ReadFileRequest(Ref=ref, FilePath=b"nope")
        image = pb.ResolveImageConfigRequest(Ref="BAD::")
        for call in (
            c.stub.ReadFile(read, metadata=METADATA),
            c.stub.ReadFile(pb.ReadFileRequest(Ref=ref, FilePath=b"/"), metadata=METADATA),
            c.stub.ReadDir(pb.ReadDirRequest(Ref="zz"), metadata=METADATA),
            c.stub.StatFile(pb.StatFileRequest(Ref=ref, Path=b"x"), metadata=METADATA),
            c.stub.ResolveImageConfig(image, metadata=METADATA),
            c.stub.ReleaseContainer(pb.ReleaseContainerRequest(ContainerID="x"), metadata=METADATA),
            c.stub.Ping(pb.PingRequest()),
        ):
            with pytest.raises(AioRpcError) as failed:
                await call
            assert failed.value.code() is StatusCode.UNKNOWN, failed.value.details()
        with pytest.raises(NotFound, match=r"^open nope: no such file"), translated():
            await c.stub.ReadFile(read, metadata=METADATA)
        await c.stub.Return(pb.ReturnRequest(result=pb.Result()), metadata=METADATA)
        await c.served.result()


async def test_old_clients_get_ids(tmp_path: Path) -> None:
    world = World({"ctx": tmp_path})
    async with client(world, tmp_path) as c:
        solved = await c.stub.Solve(pb.SolveRequest(Definition=local("ctx")), metadata=METADATA)
        assert solved.ref == solved.result.refDeprecated != ""
        empty = await c.stub.Solve(pb.SolveRequest(), metadata=METADATA)
        assert empty.ref == empty.result.refDeprecated == ""
        result = pb.Result(refDeprecated=solved.ref)
        await c.stub.Return(pb.ReturnRequest(result=result), metadata=METADATA)
        returned = (await c.served.result()).ref
        assert returned is not None
        assert returned.id == solved.ref


async def test_a_frontend_runs_on_the_daemon_s_side(tmp_path: Path) -> None:
    world = World(frontends={"echo": Echo()})
    async with client(world, tmp_path) as c:
        request = pb.SolveRequest(
            Frontend="echo",
            FrontendOpt=to_attrs({"target": "x"}),
            allowResultReturn=True,
            allowResultArrayRef=True,
        )
        solved = await c.stub.Solve(request, metadata=METADATA)
        assert dict(solved.result.metadata) == {"target": b"x", "session": b"client"}
        assert solved.result.ref.id == ""


async def test_what_a_frontend_asks_for_is_work_of_its_build(tmp_path: Path) -> None:
    """The server is older than the build."""
    world = World({"one": tmp_path, "two": tmp_path})
    forwarder = GatewayForwarder(wait_s=0)
    async with serving(forwarder, tmp_path) as stub:
        for name in ("one", "two"):
            with sharing(name):
                async with (
                    world.bridge() as (bridge, _),
                    forwarder.serving("build", bridge, {}),
                ):
                    request = pb.SolveRequest(
                        Definition=local(name), allowResultReturn=True, allowResultArrayRef=True
                    )
                    solved = await stub.Solve(request, metadata=METADATA)
                    evaluate = pb.EvaluateRequest(Ref=solved.result.ref.id)
                    await stub.Evaluate(evaluate, metadata=METADATA)
    assert world.shares == ["one", "two"]


async def test_errors_come_back_and_forth(tmp_path: Path) -> None:
    world = World()
    async with client(world, tmp_path) as c:
        request = pb.SolveRequest(Definition=local("gone"), Evaluate=True, allowResultReturn=True)
        with pytest.raises(CrozeError, match="no local directory gone"), translated():
            await c.stub.Solve(request, metadata=METADATA)
        with pytest.raises(NotFound, match="no such ref: x"), translated():
            await c.stub.ReadFile(pb.ReadFileRequest(Ref="x"), metadata=METADATA)
        with pytest.raises(Unsupported, match="containers"), translated():
            await c.stub.NewContainer(pb.NewContainerRequest(), metadata=METADATA)
        with pytest.raises(AioRpcError, match="forwarding Ping: no such job") as caught:
            await c.stub.Ping(pb.PingRequest(), metadata=((BUILD_ID_KEY, "other"),))
        assert caught.value.code() is StatusCode.NOT_FOUND
        with pytest.raises(InvalidRequest, match="no buildid found"), translated():
            await c.stub.Ping(pb.PingRequest())
        error = to_status(CrozeError("the client gave up"))
        await c.stub.Return(pb.ReturnRequest(error=error), metadata=METADATA)
        with pytest.raises(CrozeError, match="the client gave up"):
            await c.served.result()


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (StatusCode.NOT_FOUND, (StatusCode.NOT_FOUND, "gone")),
        (StatusCode.UNKNOWN, (StatusCode.UNKNOWN, "gone")),
        (StatusCode.INTERNAL, (StatusCode.UNKNOWN, "Internal: gone")),
    ],
)
async def test_the_code_of_a_returned_error_is_the_build_s(
    tmp_path: Path, code: StatusCode, answer: tuple[StatusCode, str]
) -> None:
    async with client(World(), tmp_path) as c:
        error = status(code.value[0], "gone")
        await c.stub.Return(pb.ReturnRequest(error=error), metadata=METADATA)
        with pytest.raises(CrozeError) as caught:
            await c.served.result()
    told = to_status(caught.value, plain=True)
    assert (told.code, told.message) == (answer[0].value[0], answer[1])


async def test_what_returns_nothing_is_refused(tmp_path: Path) -> None:
    async with client(World(), tmp_path) as c:
        for nothing in (pb.ReturnRequest(), pb.ReturnRequest(error=status(0, "fine"))):
            with pytest.raises(InvalidRequest, match="must be either result or err"), translated():
                await c.stub.Return(nothing, metadata=METADATA)
        unknown = pb.ReturnRequest(result=pb.Result(ref=pb.Ref(id="zz")))
        with pytest.raises(NotFound, match=r"^return reference zz not found$"), translated():
            await c.stub.Return(unknown, metadata=METADATA)
        with pytest.raises(NotFound, match=r"^no such ref: , all \[\]$"), translated():
            await c.stub.Evaluate(pb.EvaluateRequest(), metadata=METADATA)


BUSYBOX = "docker.io/library/busybox:latest"


async def test_sources_are_asked_for_metadata(tmp_path: Path) -> None:
    world = World(images={BUSYBOX: b"{}"})
    async with client(world, tmp_path) as c:
        config = await c.stub.ResolveImageConfig(
            pb.ResolveImageConfigRequest(Ref="busybox", ResolveMode="local", LogName="x"),
            metadata=METADATA,
        )
        assert (config.Ref, config.Config) == (BUSYBOX, b"{}")
        image = await c.stub.ResolveSourceMeta(
            pb.ResolveSourceMetaRequest(
                Source=ops_pb2.SourceOp(identifier="docker-image://busybox"), ResolveMode="local"
            ),
            metadata=METADATA,
        )
        assert image.Image.Digest == config.Digest
        assert image.Source.identifier == f"docker-image://{BUSYBOX}"
        http = await c.stub.ResolveSourceMeta(
            pb.ResolveSourceMetaRequest(Source=ops_pb2.SourceOp(identifier="http://x/f")),
            metadata=METADATA,
        )
        assert (http.HTTP.Filename, http.HTTP.LastModified.seconds) == ("f", 5)
        layout = ops_pb2.SourceOp(
            identifier="oci-layout://l@sha256:" + "2" * 64,
            attrs={"oci.session": "s2", "oci.store": "store"},
        )
        await c.stub.ResolveSourceMeta(
            pb.ResolveSourceMetaRequest(Source=layout), metadata=METADATA
        )
        # A policy may put one of these in an image's place, which clients find out so.
        local = ops_pb2.SourceOp(identifier="local://folder")
        answer = await c.stub.ResolveSourceMeta(
            pb.ResolveSourceMetaRequest(Source=local), metadata=METADATA
        )
        assert answer == pb.ResolveSourceMetaResponse(Source=local)
    assert world.calls == [f"{BUSYBOX} local ['client']", f"l@sha256:{'2' * 64} store s2"]


async def test_warnings_reach_the_status(tmp_path: Path) -> None:
    async with client(World(), tmp_path) as c:
        request = pb.WarnRequest(digest="sha256:v", short=b"careful", detail=[b"a", b"b"])
        request.info.filename = "Dockerfile"
        request.ranges.add().start.line = 3
        await c.stub.Warn(request, metadata=METADATA)
        job = c.job
    events = [e async for batch in job.events() for e in batch if isinstance(e, VertexWarning)]
    assert [(e.vertex, e.level, e.short, e.detail) for e in events] == [
        ("sha256:v", 1, "careful", ("a", "b"))
    ]
    assert events[0].ranges[0].start.line == 3


async def test_calls_wait_for_their_build(tmp_path: Path) -> None:
    forwarder = GatewayForwarder(wait_s=30)
    async with (
        World().bridge() as (bridge, _),
        serving(forwarder, tmp_path) as stub,
        asyncio.TaskGroup() as tasks,
    ):

        async def ping() -> pb.PongResponse:
            return await stub.Ping(pb.PingRequest(), metadata=METADATA)

        early = tasks.create_task(ping())
        await asyncio.sleep(0)
        async with forwarder.serving("build", bridge, {}):
            assert (await early).Workers


async def test_a_client_that_leaves_stops_the_wait() -> None:
    async with World().bridge() as (bridge, _):
        forwarder = GatewayForwarder()
        async with forwarder.serving("build", bridge, {}) as served:
            pass
        with pytest.raises(asyncio.CancelledError):
            await served.result()


async def test_the_final_solve_of_an_old_frontend_is_its_result(tmp_path: Path) -> None:
    world = World({"ctx": tmp_path})
    async with client(world, tmp_path) as c:
        request = pb.SolveRequest(
            Definition=local("ctx"), Final=True, ExporterAttr=b'{"image.name": "eA=="}'
        )
        answer = await c.stub.Solve(request, metadata=METADATA)
        result = await c.served.result()
        assert result.ref is not None
        assert result.ref.id == answer.ref
        assert result.metadata == {"image.name": b"x"}


async def test_attributes_of_a_final_solve_are_read_or_refused(tmp_path: Path) -> None:
    async with client(World({"ctx": tmp_path}), tmp_path) as c:
        request = pb.SolveRequest(Definition=local("ctx"), Final=True, ExporterAttr=b"no JSON")
        with pytest.raises(InvalidRequest, match="exporter attributes"), translated():
            await c.stub.Solve(request, metadata=METADATA)
        assert not c.served.returned
