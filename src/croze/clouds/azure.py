"""Who asks Azure where there is no account key: `DefaultAzureCredential`, Microsoft's own chain
(environment, workload identity, managed identity, the programs `az` and `azd`, PowerShell).

It is the same chain in Go and in Python, typed, kept by Microsoft, and not small: 15 packages and
over a second to import, so it is an extra (`croze[clouds]`), imported on use.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Protocol

from croze.clouds.aws import to_install
from croze.errors import PermissionDenied

STORAGE = "https://storage.azure.com/.default"
_RENEW_BEFORE_S = 300


@dataclasses.dataclass(frozen=True)
class _Token:
    text: str = dataclasses.field(repr=False)
    expires_s: float


class _Credential(Protocol):
    def get_token(self, *scopes: str) -> _AccessToken: ...


class _AccessToken(Protocol):
    @property
    def token(self) -> str: ...
    @property
    def expires_on(self) -> int: ...


class DefaultIdentity:
    """The identity that this process has at Azure. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credential: _Credential | None = None
        self._token: _Token | None = None

    def token(self) -> str:
        """An access token for storage. May block for seconds. Raises `PermissionDenied`."""
        with self._lock:
            if self._token is None or self._token.expires_s - _RENEW_BEFORE_S < time.time():
                self._token = self._ask()
            return self._token.text

    def _ask(self) -> _Token:
        try:
            from azure.core.exceptions import ClientAuthenticationError
            from azure.identity import DefaultAzureCredential
        except ModuleNotFoundError:
            raise PermissionDenied(
                "failed to create default azure credentials: without secret_access_key, "
                f"azure-identity is needed: {to_install('azure-identity')}"
            ) from None
        if self._credential is None:
            self._credential = DefaultAzureCredential()
        try:
            token = self._credential.get_token(STORAGE)
        except ClientAuthenticationError as error:
            raise PermissionDenied(f"DefaultAzureCredential: {error.message}") from None
        return _Token(token.token, token.expires_on)
