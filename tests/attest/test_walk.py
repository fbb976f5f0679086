"""What is read off the vertices of a result, and which of them have layers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import pytest

from croze.api import ops_pb2
from croze.attest.capture import Capture
from croze.attest.layers import known_layers
from croze.attest.walk import capture_of
from croze.cachekeys.contract import StoredResult
from croze.errors import NotFound
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.image.platform import parse
from croze.ops.load import LoadedOp
from croze.ops.results import RefResult
from croze.ops.services import OpServices
from croze.ops.source import SourceOp
from croze.solver.contract import Edge, ResultStore, Vertex
from croze.store.contract import ImmutableRef, LayerBlob

LAYER = "sha256:" + "a" * 64


def capture(op: ops_pb2.Op) -> Capture:
    loaded = LoadedOp(op, op.SerializeToString(), parse("linux/amd64"))
    return capture_of([(Vertex("sha256:step", loaded), None)])


def test_what_a_step_is_given() -> None:
    step = ops_pb2.ExecOp(network=ops_pb2.NONE)
    secret = step.mounts.add(mountType=ops_pb2.SECRET)
    secret.secretOpt.ID = "key"
    agent = step.mounts.add(mountType=ops_pb2.SSH)
    agent.SSHOpt.optional = True
    step.secretenv.add(ID="key", optional=True)
    step.secretenv.add(ID="token", optional=True)
    found = capture(ops_pb2.Op(exec=step))
    assert found.secrets == {"key": False, "token": True}, "one that is needed once is needed"
    assert found.ssh == {"default": True}
    assert not found.network
    assert not found.incomplete


@pytest.mark.parametrize("network", [ops_pb2.UNSET, ops_pb2.HOST])
def test_a_step_with_a_network(network: ops_pb2.NetMode.ValueType) -> None:
    assert capture(ops_pb2.Op(exec=ops_pb2.ExecOp(network=network))).network


def test_a_source_that_nobody_has_asked_about_is_no_material() -> None:
    op = ops_pb2.Op(source=ops_pb2.SourceOp(identifier="docker-image://base"))
    loaded = LoadedOp(op, op.SerializeToString(), parse("linux/amd64"))
    source = SourceOp(cast("OpServices", None), op.source, loaded.platform)
    assert capture_of([(Vertex("sha256:source", loaded), source)]) == Capture()


def test_a_build_inside_hides_what_it_used() -> None:
    assert capture(ops_pb2.Op(build=ops_pb2.BuildOp())).incomplete
    assert not capture(ops_pb2.Op(file=ops_pb2.FileOp())).incomplete


class _Ref:
    """As much of a ref as is asked for its layers."""

    def __init__(self, *layers: Descriptor) -> None:
        self._layers = layers
        self.released = 0

    def known_layers(self) -> list[LayerBlob] | None:
        return [LayerBlob(layer, "") for layer in self._layers] or None

    async def release(self) -> None:
        self.released += 1


class _Results:
    """By id; what isn't there has gone since."""

    def __init__(self, **refs: _Ref) -> None:
        self._refs = refs

    async def load(self, id: str, *, uses: bool = True) -> RefResult:
        assert not uses, "they are only looked at"
        if id not in self._refs:
            raise NotFound(id)
        return RefResult(cast("ImmutableRef", self._refs[id]))


async def test_layers_are_told_without_what_is_the_stores_own() -> None:
    notes = {
        media.UNCOMPRESSED_ANNOTATION: "sha256:1",
        media.CREATED_ANNOTATION: "now",
        "containerd.io/distribution.source.docker.io": "library/busybox",
        "org.example": "stays",
    }
    there, unmade = _Ref(Descriptor("tar", LAYER, 5, annotations=notes)), _Ref()
    results = _Results(there=there, unmade=unmade)
    at = datetime.now(UTC)
    stored = [
        (Edge(Vertex(f"sha256:{id}", None, llb_digest="llb" * (id == "there")), 1), id)
        for id in ("there", "unmade", "gone")
    ]
    told = await known_layers(
        cast("ResultStore", results), [(edge, StoredResult(id, at)) for edge, id in stored]
    )
    layer = Descriptor("tar", LAYER, 5, annotations={"org.example": "stays"})
    assert told == {("llb", 1): [[layer]]}
    assert (there.released, unmade.released) == (1, 1)
