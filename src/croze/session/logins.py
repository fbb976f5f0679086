"""Logins of the Docker CLI's configuration, for whoever asks many times."""

from __future__ import annotations

import asyncio
import time

from croze.aio.threads import abandonable
from croze.session.dockerconfig import AuthConfig, DockerConfig

CACHE_S = 4 * 60 + 50
"""Some helpers hand out passwords that end after five minutes."""


class Logins:
    """Registry credentials out of the Docker CLI's configuration, which is read when it is first
    needed."""

    def __init__(self, config: DockerConfig | None = None) -> None:
        self._config = config
        self._known: dict[str, tuple[float, AuthConfig]] = {}
        self._lock = asyncio.Lock()

    async def auth_for(self, host: str) -> AuthConfig:
        """The credentials of a registry's host. Helper programs run one at a time, and not again
        for a while."""
        async with self._lock:
            fetched, auth = self._known.get(host, (-CACHE_S, AuthConfig()))
            if time.monotonic() - fetched >= CACHE_S:
                auth = await abandonable(self._ask, host)
                self._known[host] = (time.monotonic(), auth)
            return auth

    def _ask(self, host: str) -> AuthConfig:
        if self._config is None:
            self._config = DockerConfig.load()
        return self._config.auth_for(host)
