"""What targets give to those that are built on them."""

from __future__ import annotations

import pytest

from croze.api import gateway_pb2
from croze.client.builds.links import check_alone, link, links
from croze.client.plan import SolvePlan
from croze.errors import InvalidRequest, NotFound

CONFIG = "containerimage.config"


def test_inputs_are_called_what_buildx_calls_them() -> None:
    plan = SolvePlan(frontend_attrs={"context:base": "target:lib", "context:more": "target:lib"})
    ((target, attrs),) = links(plan).items()
    result = gateway_pb2.Result(metadata={CONFIG: b"{}"})
    result.ref.CopyFrom(gateway_pb2.Ref(id="1"))
    link(plan, target, attrs, result, 1)
    assert plan.frontend_attrs == {
        "context:base": "input:1-lib",
        "context:more": "input:1-lib",
        "input-metadata:1-lib": '{"containerimage.config":"e30="}',
    }
    assert list(plan.frontend_inputs) == ["1-lib"]


def test_inputs_of_several_platforms() -> None:
    plan = SolvePlan(frontend_attrs={"context:base": "target:lib"})
    result = gateway_pb2.Result()
    for platform in ("linux/arm64", "linux/amd64"):
        result.refs.refs[platform].id = "1"
    link(plan, "lib", ["context:base"], result, 0)
    assert plan.frontend_attrs == {
        f"context:base::linux/{each}": f"input:0-lib::linux/{each}" for each in ("amd64", "arm64")
    }
    assert len(plan.frontend_inputs) == 2


def test_a_target_without_a_result() -> None:
    plan = SolvePlan(frontend_attrs={"context:base": "target:lib"})
    with pytest.raises(InvalidRequest, match="target lib has no result to build on"):
        link(plan, "lib", ["context:base"], gateway_pb2.Result(), 0)


def test_the_answer_to_a_call() -> None:
    attrs = {"context:base": "target:lib", "requestid": "frontend.lint"}
    plan = SolvePlan(frontend_attrs=dict(attrs))
    result = gateway_pb2.Result()
    result.ref.CopyFrom(gateway_pb2.Ref())
    link(plan, "lib", ["context:base"], result, 0)
    assert (plan.frontend_attrs, plan.frontend_inputs) == (attrs, {})


def test_a_build_without_others_has_no_other_target() -> None:
    check_alone(
        SolvePlan(frontend_attrs={"context:base": "docker-image://x", "target": "target:a"})
    )
    with pytest.raises(NotFound) as caught:
        check_alone(SolvePlan(frontend_attrs={"context:base": "target:lib"}))
    assert str(caught.value) == "failed to find target lib for context base"
