"""Source policies: what a rule matches, what it makes of a source, and where they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze import llb
from croze.api import ops_pb2
from croze.api import policy_pb2 as pb
from croze.errors import CrozeError, InvalidRequest, PermissionDenied
from croze.gateway.policy import SourcePolicies
from croze.gateway.requests import BridgeRequest
from tests.gateway.world import World, local

BUSYBOX = "docker-image://docker.io/library/busybox:latest"
ALPINE = "docker-image://docker.io/library/alpine:latest"


def rule(
    action: pb.PolicyAction.ValueType,
    identifier: str,
    to: str = "",
    match: pb.MatchType.ValueType = pb.WILDCARD,
    **attrs: str,
) -> pb.Rule:
    made = pb.Rule(action=action, selector=pb.Selector(identifier=identifier, match_type=match))
    if action == pb.CONVERT:
        made.updates.CopyFrom(pb.Update(identifier=to, attrs=attrs))
    return made


def decide(identifier: str, *rules: pb.Rule, **attrs: str) -> ops_pb2.SourceOp:
    policies = SourcePolicies([pb.Policy(rules=rules)])
    return policies.decide(ops_pb2.SourceOp(identifier=identifier, attrs=attrs))


def test_the_last_of_allow_and_deny_counts() -> None:
    allow, deny = rule(pb.ALLOW, BUSYBOX), rule(pb.DENY, "docker-image://*")
    with pytest.raises(PermissionDenied, match=f'source "{ALPINE}" denied by policy'):
        decide(ALPINE, deny, allow)
    assert decide(BUSYBOX, deny, allow).identifier == BUSYBOX
    with pytest.raises(PermissionDenied):
        decide(BUSYBOX, allow, deny)


def test_every_policy_must_allow() -> None:
    allow, deny = (pb.Policy(rules=[rule(a, BUSYBOX)]) for a in (pb.ALLOW, pb.DENY))
    with pytest.raises(PermissionDenied):
        SourcePolicies([allow]).also([deny]).decide(ops_pb2.SourceOp(identifier=BUSYBOX))


def test_images_are_matched_by_their_full_names() -> None:
    assert decide("docker-image://busybox", rule(pb.CONVERT, BUSYBOX, ALPINE)).identifier == ALPINE


@pytest.mark.parametrize(
    ("match", "selector", "to", "result"),
    [
        (pb.WILDCARD, "https://a/*/c*", "https://b/$2/${1}$$", "https://b/d/b$"),
        (pb.REGEX, r"^https://a/(?P<x>\w)/(.*)$", "https://$2/${x}/$9", "https://cd/b/"),
        (pb.REGEX, "a/b", "A", "https://A/cd"),
        (pb.EXACT, "https://a/b/cd", "https://$1", "https://$1"),
        (pb.EXACT, "https://a/*", "https://x", "https://a/b/cd"),
    ],
)
def test_converts(match: pb.MatchType.ValueType, selector: str, to: str, result: str) -> None:
    assert decide("https://a/b/cd", rule(pb.CONVERT, selector, to, match)).identifier == result


@pytest.mark.parametrize(
    ("match", "selector", "to"),
    [
        (pb.WILDCARD, "*", "$1" * 10),
        (pb.REGEX, "^(.*)$", "$1" * 10),
        (pb.REGEX, ".", "$0" * 10),
        (pb.REGEX, ".", "x" * 10_000),
    ],
)
def test_converts_that_grow_are_refused(
    match: pb.MatchType.ValueType, selector: str, to: str
) -> None:
    """They would need all memory."""
    with pytest.raises(InvalidRequest, match="makes a source's name longer than 65536"):
        decide("https://a/b/cd", rule(pb.CONVERT, selector, to, match))


def test_a_group_of_any_number_is_empty_where_it_is_not_there() -> None:
    grown = decide("https://a/b/cd", rule(pb.CONVERT, "https://*", "x://$1${" + "1" * 5000 + "}"))
    assert grown.identifier == "x://a/b/cd"


def test_converts_follow_each_other_but_not_for_ever() -> None:
    there, back = rule(pb.CONVERT, BUSYBOX, ALPINE), rule(pb.CONVERT, ALPINE, BUSYBOX)
    denied = rule(pb.DENY, ALPINE)
    with pytest.raises(PermissionDenied):
        decide(BUSYBOX, there, denied)
    with pytest.raises(CrozeError, match="too many mutations"):
        decide(BUSYBOX, there, back)


def test_attributes() -> None:
    pinned = rule(pb.CONVERT, "https://a/b", "", pb.EXACT, **{"http.checksum": "sha256:1"})
    found = decide("https://a/b", pinned)
    assert (found.identifier, dict(found.attrs)) == ("https://a/b", {"http.checksum": "sha256:1"})
    unpinned = rule(pb.DENY, "https://*")
    unpinned.selector.constraints.add(key="http.checksum", value="^sha", condition=pb.MATCHES)
    assert decide("https://a/b", unpinned).identifier
    with pytest.raises(PermissionDenied):
        decide("https://a/b", unpinned, **{"http.checksum": "sha256:1"})
    unpinned.selector.constraints[0].condition = pb.NOTEQUAL
    with pytest.raises(PermissionDenied):
        decide("https://a/b", unpinned)


@pytest.mark.parametrize(
    ("match", "selector", "message"),
    [(pb.REGEX, "(", "invalid regex"), (pb.WILDCARD, "a**", "invalid wildcard")],
)
def test_broken_rules(match: pb.MatchType.ValueType, selector: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        decide("https://a", rule(pb.DENY, selector, "", match))


async def test_they_hold_for_definitions(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    world = World({"other": tmp_path})
    to_other = pb.Policy(rules=[rule(pb.CONVERT, "local://ctx", "local://other")])
    async with world.bridge() as (bridge, _):
        ref = (await bridge.solve(BridgeRequest(local("ctx"), policies=[to_other]))).ref
        assert ref is not None
        assert await ref.read_file("f") == b"x"
        denied = pb.Policy(rules=[rule(pb.DENY, "local://*")])
        refused = BridgeRequest(llb.local("other").marshal(), policies=[denied], evaluate=True)
        with pytest.raises(PermissionDenied, match=r"^failed to load LLB: error evaluating"):
            await bridge.solve(refused)
    assert world.ran == ["other"]
