"""Credentials lent by the clients of a build (session service `moby.filesync.v1.Auth`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from weakref import WeakKeyDictionary

from croze.errors import CrozeError, Unavailable
from croze.http.tokens import IssuedToken
from croze.registry.credentials import Login
from croze.session import auth
from croze.session.contract import Session, SessionManager

_SERVICE = "/moby.filesync.v1.Auth"

T = TypeVar("T")

_proven: WeakKeyDictionary[Session, dict[str, str]] = WeakKeyDictionary()
"""Per session and host, the key that the session has shown to have; empty for none."""


class SessionCredentials:
    """Asks each session in turn; the first that has an answer is believed. When all fail, the
    last one's error is raised: a client that can't get at its credentials is not nobody, only
    one that has gone is."""

    def __init__(self, manager: SessionManager, sessions: Sequence[str]) -> None:
        self._manager = manager
        self._sessions = tuple(sessions)

    async def authority(self, host: str) -> str:
        """See `Credentials.authority`. A session may only claim a key that it can sign with."""
        return await self._first("GetTokenAuthority", lambda each: _authority(each, host)) or ""

    async def login(self, host: str) -> Login:
        lent = await self._first("Credentials", lambda each: auth.credentials(each, host))
        return Login() if lent is None else Login(lent.username, lent.secret)

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> IssuedToken | None:
        for session in self._serving("FetchToken"):
            if not _proven.get(session, {}).get(host):
                continue
            try:
                return await auth.fetch_token(
                    session, host=host, realm=realm, service=service, scopes=scopes
                )
            except CrozeError as err:
                raise err.wrap("failed to authorize") from err
        return None

    async def _first(self, method: str, ask: Callable[[Session], Awaitable[T]]) -> T | None:
        """The first answer; None if no session is there to ask."""
        failure: CrozeError | None = None
        for session in self._serving(method):
            try:
                return await ask(session)
            except Unavailable:  # gone
                continue
            except CrozeError as err:
                failure = err
        if failure is not None:
            raise failure
        return None

    def _serving(self, method: str) -> list[Session]:
        current = [self._manager.current(each) for each in self._sessions]
        return [s for s in current if s is not None and s.serves(f"{_SERVICE}/{method}")]


async def _authority(session: Session, host: str) -> str:
    authorities = _proven.setdefault(session, {})
    if host not in authorities:
        authorities[host] = await _prove(session, host)
    return authorities[host]


async def _prove(session: Session, host: str) -> str:
    key = await auth.token_authority(session, host)
    if key is None or not await auth.verify_token_authority(session, host, key):
        return ""
    return key.hex()
