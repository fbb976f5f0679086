"""Definitions as provenance tells them."""

from __future__ import annotations

import json

import pytest

from croze import llb
from croze.api import ops_pb2
from croze.attest.buildsteps import build_steps, in_order, through_map
from croze.errors import InvalidRequest


def test_steps_are_numbered_and_keep_no_secret() -> None:
    remote = "https://me:hunter2@example.com/r.git"
    state = llb.scratch().file(llb.copy(llb.git(remote, "main"), "/", "/"))
    steps = build_steps(state.marshal())
    assert [step["id"] for step in steps.definition] == ["step0", "step1", "step2"]
    assert [step.get("inputs") for step in steps.definition] == [None, ["step0:0"], ["step1:0"]]
    text = bytes(in_order(steps.definition)).decode()
    assert "hunter2" not in text
    assert "https://xxxxx:xxxxx@example.com/r.git" in text
    members = steps.members()
    assert sorted(dict(members)) == ["digestMapping", "llbDefinition"]


def test_a_local_source_is_told_without_its_session() -> None:
    made = llb.local("context", session="s").marshal()
    (source, _) = build_steps(made).definition
    assert "local.session" not in json.loads(bytes(in_order(source)))["op"]["Op"]["source"].get(
        "attrs", {}
    )


def test_the_indexes_of_file_actions_are_always_there() -> None:
    steps = build_steps(llb.scratch().file(llb.mkdir("/a")).marshal())
    op = json.loads(bytes(in_order(steps.definition[0])))["op"]["Op"]
    (action,) = op["file"]["actions"]
    assert list(action) == ["input", "secondaryInput", "output", "Action"]
    assert (action["input"], action["output"]) == (-1, 0)


def test_what_is_no_definition() -> None:
    assert build_steps(None).definition == []
    assert build_steps(ops_pb2.Definition()).members() == {}
    exec_last = ops_pb2.Op(exec=ops_pb2.ExecOp()).SerializeToString()
    for data in (exec_last, ops_pb2.Op().SerializeToString()):
        definition = ops_pb2.Definition()
        getattr(definition, "def").append(data)
        with pytest.raises(InvalidRequest, match="invalid last vertex"):
            build_steps(definition)


def test_large_numbers_come_out_of_a_map_as_floats_do() -> None:
    found = through_map({"n": [1700000000123456789, -1, 2**53, True]})
    assert found == {"n": [1700000000123456800, -1, 2**53, True]}
