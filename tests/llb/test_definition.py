"""Definitions that come from elsewhere."""

from __future__ import annotations

import pytest

from croze import llb
from croze.errors import InvalidRequest, Position, Range
from croze.image.platform import Platform

LINUX = llb.Defaults(Platform("amd64", "linux"))
LINE = Range(Position(3), Position(4, 2))


def example() -> llb.State:
    text = llb.SourceMap("Dockerfile", b"FROM alpine\n", "Dockerfile")
    base = llb.image("alpine", name="base", locations=[text.at(LINE)])
    run = base.run("true", mounts=[llb.bind("/m", base)])
    return llb.merge([run.root, run.mount("/m")])


def test_a_state_from_a_definition_marshals_to_the_same() -> None:
    definition = example().marshal(LINUX)
    again = llb.definition_to_state(definition).marshal(LINUX)
    assert llb.op_blobs(again) == llb.op_blobs(definition)
    assert again.metadata == definition.metadata
    assert again.Source.infos == definition.Source.infos


def test_one_can_build_on_it() -> None:
    state = llb.definition_to_state(example().marshal(LINUX))
    assert len(llb.op_blobs(state.file(llb.mkdir("/a")).marshal(LINUX))) == 5


def test_the_order_has_inputs_first() -> None:
    loaded = llb.load(example().marshal(LINUX))
    order = loaded.order()
    assert len(order) == 3
    for position, digest in enumerate(order):
        assert all(i.digest in order[:position] for i in loaded.ops[digest].inputs)


def test_scratch_survives() -> None:
    assert llb.definition_to_state(llb.scratch().marshal()).output is None


def test_a_missing_input_is_refused() -> None:
    blobs = llb.op_blobs(example().marshal(LINUX))
    with pytest.raises(InvalidRequest, match="invalid missing input digest"):
        llb.load(llb.definition_of(blobs[1:]))


def test_bytes_that_are_no_op_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="failed to parse llb proto op"):
        llb.load(llb.definition_of([b"\xff\xff"]))
