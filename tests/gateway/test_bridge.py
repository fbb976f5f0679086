"""What frontends in this process may ask."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.dockerfile.resolver import ImageQuestion, OciStore
from croze.errors import (
    CrozeError,
    InvalidRequest,
    NotFound,
    ResourceExhausted,
    SourceDetail,
    Unsupported,
    VertexDetail,
)
from croze.gateway import caps
from croze.gateway.bridge import evaluate
from croze.gateway.frontends import builtin_frontends
from croze.gateway.requests import BridgeRequest, FrontendRequest
from croze.gateway.resolver import BridgeResolver
from croze.gateway.results import BridgeResult
from croze.status import VertexState, VertexWarning
from tests.gateway.echo import Echo
from tests.gateway.world import World, local


async def test_a_ref_is_solved_when_it_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("hello")
    world = World({"ctx": tmp_path})
    async with world.bridge() as (bridge, _):
        result = await bridge.solve(BridgeRequest(local("ctx")))
        assert world.ran == []
        assert result.ref is not None
        reads = [result.ref.read_file("f"), result.ref.read_file("/f", offset=1, length=3)]
        assert await asyncio.gather(*reads) == [b"hello", b"ell"]
        assert world.ran == ["ctx"]


async def test_evaluate_brings_errors_at_once_with_their_source() -> None:
    world = World()
    definition = local("gone")
    digest = digest_of(getattr(definition, "def")[0])
    info = definition.Source.infos.add(filename="Dockerfile", data=b"FROM gone\n")
    where = definition.Source.locations[digest].locations.add(sourceIndex=0)
    where.ranges.add().start.line = 1
    async with world.bridge() as (bridge, _):
        lazy = await bridge.solve(BridgeRequest(definition))
        with pytest.raises(CrozeError, match="no local directory gone") as caught:
            await bridge.solve(BridgeRequest(definition, evaluate=True))
        kinds = [type(d) for d in caught.value.details]
        assert VertexDetail in kinds
        sources = [d for d in caught.value.details if isinstance(d, SourceDetail)]
        assert [(s.filename, s.data) for s in sources] == [(info.filename, info.data)]
        with pytest.raises(CrozeError, match="no local directory gone"):
            await evaluate(lazy)


async def test_several_refs_are_evaluated_together_and_fail_as_one(tmp_path: Path) -> None:
    world = World({"a": tmp_path, "b": tmp_path})
    async with world.bridge() as (bridge, _):
        good = BridgeResult(
            refs={"x": bridge.make_ref(local("a")), "y": bridge.make_ref(local("b")), "z": None}
        )
        await evaluate(good)
        assert sorted(world.ran) == ["a", "b"]
        bad = BridgeResult(refs={"x": good.by_key()["x"], "y": bridge.make_ref(local("gone"))})
        with pytest.raises(CrozeError, match="gone"):
            await evaluate(bad)


async def test_files_are_read_inside_the_root_only(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("outside")
    root = tmp_path / "root"
    (root / "d/sub").mkdir(parents=True)
    (root / "secret").write_text("inside")
    (root / "abs").symlink_to(secret)
    (root / "up").symlink_to("../../secret")
    (root / "d/b.txt").write_text("bb")
    (root / "d/a.py").write_text("a")
    os.mkfifo(root / "pipe")
    world = World({"ctx": root})
    async with world.bridge() as (bridge, _):
        ref = bridge.make_ref(local("ctx"))
        assert await ref.read_file("up") == b"inside"
        assert await ref.read_file("../../secret") == b"inside"
        with pytest.raises(NotFound, match="open abs: no such file or directory"):
            await ref.read_file("abs")
        with pytest.raises(InvalidRequest, match="d is not a regular file"):
            await ref.read_file("d")
        with pytest.raises(InvalidRequest, match="pipe is not a regular file"):
            await ref.read_file("pipe")
        with pytest.raises(InvalidRequest, match="invalid range"):
            await ref.read_file("secret", offset=-1)
        os.truncate(root / "secret", 1 << 40)
        with pytest.raises(ResourceExhausted, match="secret: more than 16777216 bytes"):
            await ref.read_file("secret")
        with pytest.raises(ResourceExhausted, match="secret: more than 16777216 bytes"):
            await ref.read_file("secret", length=1 << 40)
        assert await ref.read_file("secret", length=1 << 24) == b"inside".ljust(1 << 24, b"\0")
        os.truncate(root / "secret", 6)
        assert [e.path for e in await ref.read_dir("d")] == [b"a.py", b"b.txt", b"sub"]
        assert [e.path for e in await ref.read_dir("/d", "*.txt")] == [b"b.txt"]
        stat = await ref.stat_file("up")
        assert (stat.path, stat.size, stat.mode & 0o777) == (b"secret", 6, 0o644)
        with pytest.raises(NotFound, match="lstat nothing: no such file or directory"):
            await ref.stat_file("nothing")
        with pytest.raises(NotFound):
            await ref.read_dir("nothing")


BUSYBOX, NOPE = "docker.io/library/busybox:latest", "docker.io/library/nope:latest"


async def test_an_image_is_asked_for_once_and_shows_as_a_vertex() -> None:
    world = World(images={BUSYBOX: b"{}"})
    async with world.bridge() as (bridge, job):
        question = ImageQuestion("busybox", mode="default", log_name="[internal] x")
        ask = [bridge.sources.resolve_image(question) for _ in range(3)]
        found = await asyncio.gather(*ask)
        assert {f.config for f in found} == {b"{}"}
        layout = await bridge.sources.resolve_image(
            ImageQuestion("l@sha256:" + "2" * 64, oci_store=OciStore("", "store"))
        )
        assert layout.digest == "sha256:" + "2" * 64
        for _ in range(2):
            with pytest.raises(NotFound, match=f"{NOPE}: not found"):
                await bridge.sources.resolve_image(ImageQuestion("nope"))
    assert world.calls == [
        f"{BUSYBOX} default ['client']",
        f"l@sha256:{'2' * 64} store client",
        f"{NOPE}  ['client']",
    ]
    events = [e async for batch in job.events() for e in batch if isinstance(e, VertexState)]
    done = {e.name: e for e in events if e.completed}
    assert list(done) == [
        "[internal] x",
        f"resolve image config for oci-layout://l@sha256:{'2' * 64}",
        f"resolve image config for docker-image://{NOPE}",
    ]
    assert done[f"resolve image config for docker-image://{NOPE}"].error == f"{NOPE}: not found"


async def test_frontends_may_ask_frontends() -> None:
    world = World(frontends={"echo": Echo()})
    async with world.bridge() as (bridge, _):
        result = await bridge.solve(BridgeRequest(frontend="echo", opts={"inner": "1"}))
        assert result.metadata == {"from": b"outer", "session": b"client"}
        with pytest.raises(InvalidRequest, match="invalid frontend: nobody"):
            await bridge.solve(BridgeRequest(frontend="nobody"))
        with pytest.raises(InvalidRequest, match="both Definition and Frontend"):
            await bridge.solve(BridgeRequest(local("x"), frontend="echo"))
        assert await bridge.solve(BridgeRequest()) == BridgeResult()


async def test_the_resolver_answers_from_the_bridge(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    world = World({"context": tmp_path})
    inputs: Mapping[str, ops_pb2.Definition] = {"base": local("base")}
    async with world.bridge() as (bridge, job):
        resolver = BridgeResolver(bridge, FrontendRequest({}, inputs, "client"))
        assert await resolver.read_file(local("context"), "Dockerfile", limit_bytes=4) == b"FROM"
        assert await resolver.list_dir(local("context"), "/") == ["Dockerfile"]
        assert world.ran == ["context"]
        assert await resolver.inputs() == inputs
        assert resolver.session == "client"
        assert resolver.has_cap("file.base")
        assert not resolver.has_cap("exec.meta.network.none")
        await resolver.warn([VertexWarning("sha256:v", 1, "careful", ("more",))])
    events = [e async for batch in job.events() for e in batch]
    assert VertexWarning("sha256:v", 1, "careful", ("more",)) in events


@pytest.mark.parametrize("frontend", ["dockerfile.v0", "gateway.v0"])
async def test_the_dockerfile_frontend_is_built_in(tmp_path: Path, frontend: str) -> None:
    (tmp_path / "Dockerfile").write_text("# syntax=docker/dockerfile:1\nFROM scratch\nCOPY f /\n")
    world = World({"context": tmp_path, "dockerfile": tmp_path}, dict(builtin_frontends()))
    opts = {"filename": "Dockerfile", "source": "docker/dockerfile:1"}
    async with world.bridge() as (bridge, _):
        result = await bridge.solve(BridgeRequest(frontend=frontend, opts=opts))
        assert result.ref is not None
        assert "containerimage.config" in result.metadata


async def test_other_frontends_are_refused_honestly(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("# syntax=example.com/frontend:1\nwhatever\n")
    world = World({"context": tmp_path, "dockerfile": tmp_path}, dict(builtin_frontends()))
    async with world.bridge() as (bridge, _):
        with pytest.raises(Unsupported, match="external frontend example"):
            await bridge.solve(BridgeRequest(frontend="dockerfile.v0"))
        with pytest.raises(InvalidRequest, match="no source specified"):
            await bridge.solve(BridgeRequest(frontend="gateway.v0"))


def test_caps_are_told_apart() -> None:
    listed = {cap.ID: cap for cap in caps.llb_caps()}
    assert all(cap.Enabled for cap in listed.values())
    fewer = {cap.ID: cap for cap in caps.llb_caps(frozenset({"file.base"}))}
    assert fewer.keys() == listed.keys()
    assert [id for id, cap in fewer.items() if cap.Enabled] == ["file.base"]
    assert fewer["mergeop"].DisabledReasonMsg
    frontend = {cap.ID: cap for cap in caps.frontend_caps()}
    assert frontend["proto.refarray"].Enabled
    assert frontend["solve.inlinereturn"].Deprecated
    assert all(cap.Enabled for cap in frontend.values())
