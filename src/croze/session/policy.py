"""A client's own say in what a build may use (`moby.buildkit.v1.sourcepolicy.policysession`)."""

from __future__ import annotations

from msgspec import Struct

from croze.api import policysession_pb2
from croze.session.contract import SessionManager

_METHOD = "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy"


class SessionVerifier(Struct, frozen=True):
    """Has the client of a session decide about sources, by its policies."""

    sessions: SessionManager
    session: str

    async def check(
        self, request: policysession_pb2.CheckPolicyRequest
    ) -> policysession_pb2.CheckPolicyResponse:
        """A decision, or a request to know more. Raises `errors.NotFound` if the client is gone."""
        session = await self.sessions.get(self.session)
        return await session.calls.ask(_METHOD, request, policysession_pb2.CheckPolicyResponse)
