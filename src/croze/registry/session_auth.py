"""Credentials lent by the clients of a build (session service `moby.filesync.v1.Auth`)."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import grpc

from croze.api import auth_pb2, auth_pb2_grpc
from croze.errors import CrozeError, NotFound
from croze.grpc_errors import as_croze_error
from croze.registry.credentials import Login, Token
from croze.session.contract import Session, SessionManager

_SERVICE = "/moby.filesync.v1.Auth"
_CLIENT_ID = "buildkit-client"


class SessionCredentials:
    """Asks each session in turn; the first that has an answer is believed."""

    def __init__(self, manager: SessionManager, sessions: Sequence[str]) -> None:
        self._manager = manager
        self._sessions = tuple(sessions)
        self._fetches: dict[tuple[str, str], bool] = {}

    @property
    def identity(self) -> str:
        return ",".join(self._sessions)

    async def login(self, host: str) -> Login:
        for session in self._serving("Credentials"):
            request = auth_pb2.CredentialsRequest(Host=host)
            try:
                answer = await auth_pb2_grpc.AuthStub(session.channel).Credentials(request)
            except grpc.RpcError as err:
                _give_up(err)
                continue
            return Login(answer.Username, answer.Secret)
        return Login()

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> Token | None:
        for session in self._serving("FetchToken"):
            if not await self._fetches_tokens(session, host):
                continue
            request = auth_pb2.FetchTokenRequest(
                ClientID=_CLIENT_ID,
                Host=host,
                Realm=realm,
                Service=service,
                Scopes=list(scopes),
            )
            try:
                answer = await auth_pb2_grpc.AuthStub(session.channel).FetchToken(request)
            except grpc.RpcError as err:
                raise as_croze_error(err).wrap("failed to authorize") from err
            return Token(answer.Token, _lifetime_s(answer))
        return None

    def _serving(self, method: str) -> list[Session]:
        found = [self._manager.current(each) for each in self._sessions]
        return [s for s in found if s is not None and s.serves(f"{_SERVICE}/{method}")]

    async def _fetches_tokens(self, session: Session, host: str) -> bool:
        """Whether the client has credentials that it uses on its own side."""
        key = (session.id, host)
        if key not in self._fetches:
            request = auth_pb2.GetTokenAuthorityRequest(Host=host, Salt=os.urandom(32))
            try:
                stub = auth_pb2_grpc.AuthStub(session.channel)
                self._fetches[key] = bool((await stub.GetTokenAuthority(request)).PublicKey)
            except grpc.RpcError as err:
                _give_up(err)
                self._fetches[key] = False
        return self._fetches[key]


def _give_up(err: grpc.RpcError) -> None:
    """Go on with the next session if this one is gone or knows nothing; else raise."""
    known: CrozeError = as_croze_error(err)
    if isinstance(known, NotFound) or known.code in ("UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"):
        return
    raise known from err


def _lifetime_s(answer: auth_pb2.FetchTokenResponse) -> float:
    lifetime = float(answer.ExpiresIn or 60)
    return lifetime - max(0.0, time.time() - answer.IssuedAt) if answer.IssuedAt else lifetime
