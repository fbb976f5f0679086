"""What is lent of the user's logins, told as steps of the build.

Source: BuildKit `session/auth/authprovider`, whose names these are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from croze.api import control_pb2
from croze.progress.own import own_step

_REPOSITORY = "repository:"


class AuthLog:
    """Steps that are over when they are shown, for all builds of a command."""

    def __init__(self, show: Callable[[control_pb2.StatusResponse], None]) -> None:
        self._show = show
        self._shared: set[str] = set()

    def shares(self, host: str) -> None:
        """See `session.providers.auth.LendingLog`; told once for each host."""
        if host not in self._shared:
            self._shared.add(host)
            self._tell(f"[auth] sharing credentials for {host}")

    def fetches(self, scopes: Sequence[str], host: str) -> None:
        """See `session.providers.auth.LendingLog`."""
        of = " ".join(scope.removeprefix(_REPOSITORY) for scope in scopes)
        self._tell(f"[auth] {of} token for {host}")

    def _tell(self, name: str) -> None:
        with own_step(name, self._show):
            pass
