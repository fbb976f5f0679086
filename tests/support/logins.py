"""Credentials for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from croze.http.tokens import IssuedToken
from croze.registry.credentials import Login


@dataclass(frozen=True)
class Fixed:
    """One login for every host."""

    value: Login

    async def authority(self, host: str) -> str:
        return ""

    async def login(self, host: str) -> Login:
        return self.value

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> IssuedToken | None:
        return None
