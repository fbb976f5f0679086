"""A registry client: one for the daemon, shared by all builds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from msgspec import Struct

from croze.http.lazy import aiohttp
from croze.image.reference import Reference
from croze.registry.credentials import Credentials
from croze.registry.hosts import Endpoint, RegistryConfig, endpoints
from croze.registry.transport import Body, RegistryRequest, Retry, RetryOn, Transport


class Registry:
    """Knows the hosts' configuration and holds the connections. `close` it at the end."""

    def __init__(
        self,
        configs: Mapping[str, RegistryConfig] | None = None,
        *,
        retry: Retry | None = None,
        max_concurrency: int = 4,
    ) -> None:
        """`max_concurrency`: blob transfers at once for each registry host."""
        self._configs = dict(configs or {})
        self._retry = retry
        self._max_concurrency = max_concurrency
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._transport: Transport | None = None

    @property
    def transport(self) -> Transport:
        if self._transport is None:
            self._transport = Transport(self._retry)
        return self._transport

    def repository(
        self, ref: Reference, credentials: Credentials, *, insecure: bool = False
    ) -> Repository:
        """The repository that `ref` names. `insecure`: over HTTP or with any certificate, too."""
        return Repository(self, ref, credentials, insecure)

    def endpoints(self, host: str, *, insecure: bool, push: bool) -> list[Endpoint]:
        """Where to ask for what is at `host`, in order: mirrors first, but not to push."""
        return endpoints(host, self._configs, insecure=insecure, push=push)

    def slot(self, host: str) -> asyncio.Semaphore:
        """Held while a blob is transferred."""
        return self._slots.setdefault(host, asyncio.Semaphore(self._max_concurrency))

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        if self._transport is not None:
            await self._transport.close()
            self._transport = None


class Repository(Struct, frozen=True):
    """One repository of a registry, asked in somebody's name."""

    registry: Registry
    ref: Reference
    credentials: Credentials
    insecure: bool = False

    @property
    def slot(self) -> asyncio.Semaphore:
        """Held while a blob is fetched, and before anything is opened for it."""
        return self.registry.slot(self.ref.domain)

    def endpoints(self, *, push: bool = False) -> list[Endpoint]:
        """See `Registry.endpoints`."""
        return self.registry.endpoints(self.ref.domain, insecure=self.insecure, push=push)

    def url(self, endpoint: Endpoint, path: str) -> str:
        """The URL of such as `manifests/latest`, at an endpoint."""
        return endpoint.url(f"{self.ref.path}/{path}")

    @contextlib.asynccontextmanager
    async def send(
        self,
        endpoint: Endpoint,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        push: bool = False,
        also_pull_from: str = "",
        retry_on: RetryOn = RetryOn.BUSY_OR_BROKEN,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """See `Transport.send`; the token covers this repository."""
        actions = "pull,push" if push else "pull"
        scopes = [f"repository:{self.ref.path}:{actions}"]
        if also_pull_from:
            scopes.append(f"repository:{also_pull_from}:pull")
        request = RegistryRequest(
            method, url, headers or {}, scopes, self.credentials, body, retry_on
        )
        async with self.registry.transport.send(endpoint, request) as response:
            yield response
