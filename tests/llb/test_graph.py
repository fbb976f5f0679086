"""Marshalling: digests, order, metadata, source locations."""

from __future__ import annotations

from croze import llb
from croze.api import ops_pb2
from croze.errors import Position, Range
from croze.image.platform import Platform

AMD64 = llb.Defaults(Platform("amd64", "linux"))


def ops_of(definition: ops_pb2.Definition) -> list[ops_pb2.Op]:
    return [ops_pb2.Op.FromString(blob) for blob in llb.op_blobs(definition)]


def test_an_image_has_the_digest_that_buildkit_gives_it() -> None:
    ref = (
        "docker.io/library/alpine:latest"
        "@sha256:c9ef5b1f0b442255774ae31a839ff48ce1206a606a97052db8b4a13ae153fb7c"
    )
    definition = llb.image(ref).marshal(AMD64)
    digest = "sha256:90a064672d6b6f4033ab53fee628c600c2e350ee3f2be44e14e4af4ea593820f"
    assert llb.head(definition) == digest
    assert dict(definition.metadata[digest].caps) == {"source.image": True}


def test_constraints_stand_before_the_kind_of_op() -> None:
    definition = llb.http("https://example.com/r2", filename="r2").marshal(AMD64)
    digest = "sha256:3925a2cd9dc77093224e5352e070ae4007c352e2d28db172115a358747f7597f"
    assert llb.head(definition) == digest


def test_scratch_is_an_empty_definition() -> None:
    definition = llb.scratch().marshal()
    assert not llb.op_blobs(definition)
    assert not definition.HasField("Source")


def test_equal_ops_are_written_once_and_their_metadata_united() -> None:
    one = llb.image("alpine", name="one")
    two = llb.image("alpine", description={"k": "v"})
    definition = llb.merge([one, two.file(llb.mkdir("/a"))]).marshal(AMD64)
    images = [op for op in ops_of(definition) if op.HasField("source")]
    assert len(images) == 1
    digest = llb.digest_of(llb.op_blobs(definition)[0])
    assert dict(definition.metadata[digest].description) == {"llb.customname": "one", "k": "v"}


def test_the_last_op_names_the_result_and_what_metadata_needs() -> None:
    state = llb.image("alpine").run("true", ignore_cache=True, name="run").root
    definition = state.marshal(AMD64)
    *_, last = llb.op_blobs(definition)
    caps = set(definition.metadata[llb.digest_of(last)].caps)
    assert caps == {"constraints", "platform", "meta.ignorecache", "meta.description"}


def test_a_chain_of_ten_thousand_ops_does_not_recurse() -> None:
    state = llb.image("alpine")
    for number in range(10_000):
        state = state.file(llb.mkdir(f"/{number}"))
    assert len(llb.op_blobs(state.marshal(AMD64))) == 10_002


def test_locations_of_equal_texts_share_an_entry() -> None:
    line = Range(Position(1), Position(1))
    texts = [llb.SourceMap("Dockerfile", b"FROM alpine", "Dockerfile") for _ in range(2)]
    base = llb.image("alpine", locations=[texts[0].at(line)])
    state = base.file(llb.mkdir("/a"), locations=[texts[1].at(line)])
    source = state.marshal(AMD64).Source
    assert len(source.infos) == 1
    indexes = [loc.sourceIndex for entry in source.locations.values() for loc in entry.locations]
    assert indexes == [0, 0]


def test_a_local_source_without_session_is_kept_apart() -> None:
    state = llb.local("context")
    first, second = (state.marshal(llb.Defaults(unique_id=id)) for id in ("a", "b"))
    assert llb.head(first) != llb.head(second)
    pinned = llb.local("context", session="s")
    assert "local.unique" not in ops_of(pinned.marshal())[0].source.attrs


def test_a_deferred_output_is_made_when_it_is_needed() -> None:
    used: list[str] = []
    context = llb.State(
        llb.Deferred(lambda: llb.local("context", session="s", follow_paths=used).output)
    )
    state = llb.scratch().file(llb.copy(context, "/a", "/"))
    used.append("a")
    attrs = ops_of(state.marshal())[0].source.attrs
    assert attrs["local.followpaths"] == '["a"]'


def test_defaults_travel_with_the_state() -> None:
    arm = llb.Defaults(Platform("arm64", "linux"))
    state = llb.image("alpine").with_defaults(arm).run("true").root
    assert {op.platform.Architecture for op in ops_of(state.marshal())[:-1]} == {"arm64"}
