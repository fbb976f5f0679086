"""Lend the policies of a build: the daemon asks about each source
(`moby.buildkit.v1.sourcepolicy.policysession`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.api import policy_pb2, policysession_pb2
from croze.policy.evaluator import Policy, check_all
from croze.rpc.servers import Context
from croze.session.lent_service import Handler, unary


class PolicyProvider:
    """Answers `CheckPolicy`."""

    service = "moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier"

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = policies
        self._denied: set[str] = set()

    def methods(self) -> Mapping[str, Handler]:
        return {"CheckPolicy": unary(self._check, policysession_pb2.CheckPolicyRequest)}

    async def _check(
        self, request: policysession_pb2.CheckPolicyRequest, context: Context
    ) -> policysession_pb2.CheckPolicyResponse:
        response = await check_all(self._policies, request)
        if (
            response.WhichOneof("result") == "decision"
            and response.decision.action == policy_pb2.DENY
        ):
            self._denied.add(request.Source.Source.identifier)
        return response

    def has_denied(self, error: BaseException) -> bool:
        """Whether a build failed for what was decided here."""
        text = str(error)
        return any(
            f'source "{name}" not allowed by policy: action DENY' in text for name in self._denied
        )
