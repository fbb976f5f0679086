"""A policy's decision on one source, asked of outside a build."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croze.api import policysession_pb2
from croze.client.connect import Client
from croze.client.plan import SolvePlan
from croze.client.policies.source_resolver import SourceResolver, source_resolver
from croze.errors import CrozeError
from croze.policy.contract import PolicySources
from croze.policy.evaluator import Policy
from croze.rpc.held import Work

MOST_ROUNDS = 4


@asynccontextmanager
async def sources_of(client: Client) -> AsyncIterator[SourceResolver]:
    """What the client's daemon knows of sources."""

    async def begin(work: Work) -> object:
        return await client.solve(SolvePlan(internal=True), work=work)

    async with source_resolver(begin) as sources:
        yield sources


async def decide(
    policy: Policy, sources: PolicySources, request: policysession_pb2.CheckPolicyRequest
) -> policysession_pb2.DecisionResponse:
    """What the policy says when it knows all that it asks for; the request then has that, too.

    Raises `CrozeError`.
    """
    for _ in range(MOST_ROUNDS):
        answer = await policy.check(request)
        if answer.WhichOneof("result") == "decision":
            return answer.decision
        request.Source.CopyFrom(await sources.resolve(answer.request))
    raise CrozeError("maximum attempts reached for resolving policy metadata")
