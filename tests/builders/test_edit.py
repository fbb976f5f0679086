"""Adding, changing and removing nodes."""

from __future__ import annotations

import pytest

from croze.builders.edit import NodeChange, changed, left
from croze.builders.model import BuilderInstance, parse_platforms
from croze.errors import InvalidRequest

EMPTY = BuilderInstance("b", "remote")


def change(endpoint: str, name: str = "", platforms: str = "", **more: object) -> NodeChange:
    fixed = parse_platforms((platforms,)) if platforms else ()
    opts = more.get("opts")
    return NodeChange(
        name=name,
        endpoint=endpoint,
        endpoint_given=True,
        platforms=fixed,
        driver_opts=opts if isinstance(opts, dict) else None,
    )


def added(builder: BuilderInstance, *changes: NodeChange) -> BuilderInstance:
    for one in changes:
        builder, _ = changed(builder, one, append=True)
    return builder


def test_nodes_are_numbered() -> None:
    builder = added(EMPTY, change("tcp://a"), change("tcp://b"), change("tcp://c", "mine"))
    assert [node.name for node in builder.members] == ["b0", "b1", "mine"]
    fourth = added(left(builder, "b0"), change("tcp://d"))
    assert [node.name for node in fourth.members] == ["b1", "mine", "b0"]


def test_a_second_node_must_be_appended() -> None:
    one = added(EMPTY, change("tcp://a"))
    with pytest.raises(InvalidRequest, match="node x not found, did you mean to append"):
        changed(one, change("tcp://b", "x"), append=False)


def test_an_endpoint_is_one_nodes() -> None:
    one = added(EMPTY, change("tcp://a"))
    with pytest.raises(InvalidRequest, match="invalid duplicate endpoint tcp://a"):
        changed(one, change("tcp://a"), append=True)


def test_a_fixed_platform_moves_to_the_node_that_named_it_last() -> None:
    builder = added(
        EMPTY,
        change("tcp://a", platforms="linux/amd64,linux/arm64"),
        change("tcp://b", platforms="linux/arm64"),
    )
    shown = [[p.architecture for p in node.platforms or ()] for node in builder.members]
    assert shown == [["amd64"], ["arm64"]]


def test_a_change_keeps_what_it_does_not_name() -> None:
    one = added(EMPTY, change("tcp://a", platforms="linux/arm64", opts={"cacert": "/a"}))
    two, restart = changed(one, change("tcp://b", "b0"), append=False)
    (node,) = two.members
    assert (node.endpoint, node.driver_opts, restart) == ("tcp://b", {"cacert": "/a"}, True)
    assert node.platforms == parse_platforms(("linux/arm64",))


def test_the_last_node_stays() -> None:
    one = added(EMPTY, change("tcp://a"))
    with pytest.raises(InvalidRequest, match="do you want to rm instance instead"):
        left(one, "b0")
    with pytest.raises(InvalidRequest, match='node "x" not found for b'):
        left(one, "x")
