"""The client's say in what a build may use."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from croze.api import gateway_pb2, ops_pb2, policy_pb2, policysession_pb2
from croze.errors import CrozeError, PolicyDetail
from croze.gateway.policy import SourcePolicies
from croze.gateway.verify import MAX_QUESTIONS, evaluate

BUSYBOX = "docker-image://docker.io/library/busybox:latest"
ALPINE = "docker-image://docker.io/library/alpine:latest"
Answer = policysession_pb2.CheckPolicyResponse


class Client:
    """Answers one by one, the last for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[policysession_pb2.CheckPolicyRequest] = []

    async def check(self, request: policysession_pb2.CheckPolicyRequest) -> Answer:
        copy = policysession_pb2.CheckPolicyRequest()
        copy.CopyFrom(request)
        self.asked.append(copy)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def resolve(
    request: gateway_pb2.ResolveSourceMetaRequest,
) -> gateway_pb2.ResolveSourceMetaResponse:
    answer = gateway_pb2.ResolveSourceMetaResponse(Source=request.Source)
    answer.Image.Digest = "sha256:1"
    return answer


def decision(
    action: policy_pb2.PolicyAction.ValueType, *messages: str, to: str = ""
) -> policysession_pb2.CheckPolicyResponse:
    said = [policysession_pb2.DenyMessage(message=message) for message in messages]
    update = ops_pb2.SourceOp(identifier=to) if to else None
    made = policysession_pb2.DecisionResponse(action=action, denyMessages=said, update=update)
    return Answer(decision=made)


def question(identifier: str, **attrs: str) -> policysession_pb2.CheckPolicyResponse:
    source = ops_pb2.SourceOp(identifier=identifier, attrs=attrs)
    return Answer(request=gateway_pb2.ResolveSourceMetaRequest(Source=source))


ALLOW = decision(policy_pb2.ALLOW)


async def check(
    client: Client | None, identifier: str, rules: Sequence[policy_pb2.Rule] = ()
) -> str:
    op = ops_pb2.Op(source=ops_pb2.SourceOp(identifier=identifier, attrs={"a": "b"}))
    op.platform.OS = "linux"
    policies = SourcePolicies([policy_pb2.Policy(rules=rules)])
    return (await evaluate(op, policies, client, resolve)).identifier


async def test_a_client_that_wants_to_know_more() -> None:
    client = Client(question(BUSYBOX, a="b"), ALLOW)
    assert await check(client, "docker-image://busybox") == BUSYBOX
    first, second = client.asked
    assert (first.Source.Source.identifier, first.Platform.OS) == (BUSYBOX, "linux")
    assert not first.Source.HasField("Image")
    assert second.Source.Image.Digest == "sha256:1"


async def test_a_source_that_becomes_another_is_asked_about_again() -> None:
    client = Client(decision(policy_pb2.CONVERT, to=ALPINE), ALLOW)
    assert await check(client, BUSYBOX) == ALPINE
    assert [each.Source.Source.identifier for each in client.asked] == [BUSYBOX, ALPINE]


async def test_rules_come_first() -> None:
    selector = policy_pb2.Selector(identifier=BUSYBOX)
    updates = policy_pb2.Update(identifier=ALPINE)
    rule = policy_pb2.Rule(action=policy_pb2.CONVERT, selector=selector, updates=updates)
    client = Client(ALLOW)
    assert await check(client, BUSYBOX, [rule]) == ALPINE
    assert [each.Source.Source.identifier for each in client.asked] == [ALPINE]
    assert await check(None, BUSYBOX, [rule]) == ALPINE


async def test_a_client_that_says_no() -> None:
    with pytest.raises(CrozeError) as caught:
        await check(Client(decision(policy_pb2.DENY, "not", "today")), BUSYBOX)
    assert str(caught.value) == f'source "{BUSYBOX}" not allowed by policy: action DENY'
    assert caught.value.details == (PolicyDetail(("not", "today")),)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (decision(policy_pb2.CONVERT, to=ALPINE), "too many policy requests"),
        (question(BUSYBOX, a="b"), "too many policy requests"),
        (decision(policy_pb2.CONVERT), "convert action requires updated source"),
        (Answer(), "no decision in policy response"),
        (question(ALPINE, a="b"), "policy requested different source identifier"),
        (question(BUSYBOX), "different source attrs: map length mismatch: 1 != 0"),
        (question(BUSYBOX, a="c"), "value mismatch for key a: b != c"),
        (question(BUSYBOX, b="b"), "key a missing from second map"),
    ],
)
async def test_answers_that_make_no_sense(answer: Answer, message: str) -> None:
    client = Client(answer)
    with pytest.raises(CrozeError, match=message):
        await check(client, BUSYBOX)
    assert len(client.asked) <= MAX_QUESTIONS
