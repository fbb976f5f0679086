"""Who we are to a registry: what the client lends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Login:
    """User name and password; with an empty user name the secret is a refresh token."""

    username: str = ""
    secret: str = ""


@dataclass(frozen=True)
class Token:
    """A bearer token. `lifetime_s` counts from when it was received."""

    value: str
    lifetime_s: float = 60.0


class Credentials(Protocol):
    """Both questions are asked only when a registry wants to know."""

    @property
    def identity(self) -> str:
        """Tokens that were given for one identity are never used for another."""

    async def login(self, host: str) -> Login:
        """Empty when there is none."""

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> Token | None:
        """A token that the client fetches by itself, so that we never see the password. None
        when it leaves that to us."""


class Anonymous:
    """Nobody."""

    identity = ""

    async def login(self, host: str) -> Login:
        return Login()

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> Token | None:
        return None


@dataclass(frozen=True)
class Fixed:
    """One login for every host."""

    value: Login

    @property
    def identity(self) -> str:
        return self.value.username

    async def login(self, host: str) -> Login:
        return self.value

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> Token | None:
        return None
