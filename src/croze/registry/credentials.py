"""Who we are to a registry: what the client lends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from croze.http.tokens import IssuedToken


class Login(Struct, frozen=True):
    """User name and password; with an empty user name the secret is a refresh token."""

    username: str = ""
    secret: str = ""


class Credentials(Protocol):
    """Who we are to registries. Nothing is asked before a registry wants to know."""

    async def authority(self, host: str) -> str:
        """A name for the credentials that the client fetches tokens with by itself: who names the
        same may use the tokens, too. Empty when the client leaves that to us."""

    async def login(self, host: str) -> Login:
        """The user's name and password for a host; both empty when there is none."""

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> IssuedToken | None:
        """A token that the client fetches, so that we never see the password. Asked for after
        `authority`; None when the client can't."""


class Anonymous:
    """Credentials of nobody: what is not public stays out of reach."""

    async def authority(self, host: str) -> str:
        return ""

    async def login(self, host: str) -> Login:
        return Login()

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> IssuedToken | None:
        return None
