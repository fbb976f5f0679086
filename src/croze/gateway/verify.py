"""The client's say in which sources a build may use: it is asked about each, over its session.

The client may want to know more of a source before it decides. Rules and words: BuildKit
`solver/llbsolver/policy.go`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from croze.api import gateway_pb2, ops_pb2, policy_pb2, policysession_pb2
from croze.errors import CrozeError, InvalidRequest, PolicyDetail
from croze.gateway.policy import SourcePolicies

MAX_QUESTIONS = 10
Resolve = Callable[
    [gateway_pb2.ResolveSourceMetaRequest], Awaitable[gateway_pb2.ResolveSourceMetaResponse]
]
"""Answers what the client wants to know."""


class DecisionVerifier(Protocol):
    """Asks the client for a decision on a source: `session.policy.SessionVerifier`."""

    async def check(
        self, request: policysession_pb2.CheckPolicyRequest
    ) -> policysession_pb2.CheckPolicyResponse:
        """The client's decision on the request's source: allow, deny, convert, or first tell more
        of it."""


class Denied(CrozeError):
    """The client has refused a source."""


async def evaluate(
    op: ops_pb2.Op, rules: SourcePolicies, verifier: DecisionVerifier | None, resolve: Resolve
) -> ops_pb2.SourceOp:
    """What the op's source is replaced with, or a copy of it. Raises when it is refused."""
    platform = op.platform if op.HasField("platform") else None
    source = rules.decide(op.source)
    questions = 0
    while verifier is not None:
        request = policysession_pb2.CheckPolicyRequest(Platform=platform)
        request.Source.Source.CopyFrom(source)
        questions, decision = await _decision(request, verifier, resolve, questions)
        if decision.action == policy_pb2.CONVERT:
            if not decision.HasField("update"):
                raise InvalidRequest("convert action requires updated source")
            source = rules.decide(decision.update)
        elif decision.action == policy_pb2.ALLOW:
            return source
        else:
            raise _denied(source, decision)
    return source


async def _decision(
    request: policysession_pb2.CheckPolicyRequest,
    verifier: DecisionVerifier,
    resolve: Resolve,
    questions: int,
) -> tuple[int, policysession_pb2.DecisionResponse]:
    """Ask, and answer what is asked back; how many questions there were so far."""
    source = request.Source.Source
    while questions < MAX_QUESTIONS:
        questions += 1
        answer = await verifier.check(request)
        if answer.WhichOneof("result") == "decision":
            return questions, answer.decision
        if answer.WhichOneof("result") is None:
            raise InvalidRequest("no decision in policy response")
        _check_same(source, answer.request.Source)
        try:
            resolved = await resolve(answer.request)
        except CrozeError as error:
            raise error.wrap("error resolving source metadata from policy request") from None
        request.Source.CopyFrom(resolved)
    raise CrozeError("too many policy requests")


def _check_same(source: ops_pb2.SourceOp, requested: ops_pb2.SourceOp) -> None:
    """A policy may only ask about the source that it decides on."""
    if requested.identifier != source.identifier:
        raise InvalidRequest(
            f'policy requested different source identifier: "{source.identifier}" != '
            f'"{requested.identifier}"'
        )
    trouble = "policy requested different source attrs"
    if len(requested.attrs) != len(source.attrs):
        counts = f"{len(source.attrs)} != {len(requested.attrs)}"
        raise InvalidRequest(f"{trouble}: map length mismatch: {counts}")
    for key, value in source.attrs.items():
        if key not in requested.attrs:
            raise InvalidRequest(f"{trouble}: key {key} missing from second map")
        if requested.attrs[key] != value:
            raise InvalidRequest(
                f"{trouble}: value mismatch for key {key}: {value} != {requested.attrs[key]}"
            )


def _denied(source: ops_pb2.SourceOp, decision: policysession_pb2.DecisionResponse) -> Denied:
    action = policy_pb2.PolicyAction.Name(decision.action)
    error = Denied(f'source "{source.identifier}" not allowed by policy: action {action}')
    messages = tuple(each.message for each in decision.denyMessages)
    return error.with_detail(PolicyDetail(messages)) if messages else error
