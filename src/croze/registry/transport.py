"""Requests to registries: authorised, retried, and failing with a clear message."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from enum import Enum
from types import AsyncGeneratorType
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from croze.errors import CrozeError
from croze.http.daemon import HttpClient
from croze.http.lazy import aiohttp
from croze.http.redirects import RedirectRefused
from croze.registry import failures
from croze.registry.auth import Authorizer
from croze.registry.credentials import Credentials
from croze.registry.hosts import Endpoint

T = TypeVar("T")
Stream = Callable[[], AsyncGenerator[bytes, None]]
Body = Stream | bytes | None

_ATTEMPTS = 5
_TOKENS = 3
"""The most that a host is shown for one request."""
_SOON_S = 0.05
_AT_ONCE_S = 0.001
_BUSY = (408, 429)
_MOST_WAIT_S = 30.0
"""A registry that is to be asked later than this is not waited for."""
_BROKEN = (500, 503, 504)


class Retry(Struct, frozen=True):
    """How long to wait before a transfer is tried again: `first_s`, doubled until `limit_s`. One
    that has not moved for `stalled_s` is given up."""

    first_s: float = 1.0
    limit_s: float = 8.0
    stalled_s: float = 120.0


class RetryOn(Enum):
    """After which answers of a host it is asked again."""

    NOTHING = 0
    """There is another way to ask."""
    BUSY = 1
    """429 and its kind; another host has its turn after any other failure."""
    BUSY_OR_BROKEN = 2
    """Failures that may be a whim of the host, too, once: it is the last one to be asked."""


class RegistryRequest(Struct, frozen=True):
    """One request. `body` can be made again for another attempt."""

    method: str
    url: str
    headers: Mapping[str, str]
    scopes: Sequence[str]
    credentials: Credentials
    body: Body = None
    retry_on: RetryOn = RetryOn.BUSY_OR_BROKEN


class Transport:
    """Owns the connections. Made inside the event loop; `close` when done."""

    def __init__(self, retry: Retry | None = None) -> None:
        self.retry = retry or Retry()
        self._http = HttpClient(
            read_s=self.retry.stalled_s, taken_s=self.retry.stalled_s, per_host=16
        )
        self._auth = Authorizer(self._http)
        self._plain: set[str] = set()

    async def close(self) -> None:
        await self._http.close()

    @contextlib.asynccontextmanager
    async def send(
        self, endpoint: Endpoint, request: RegistryRequest
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, whatever its status, once authorisation has been tried. Raises
        `failures.AccessRefused` and `failures.RequestFailed`."""
        async with contextlib.AsyncExitStack() as ends:
            if callable(request.body):
                request = replace(request, body=_ended_with(ends, request.body))
            response = await self._answer(endpoint, request)
            ends.callback(response.release)
            yield response

    async def _answer(self, endpoint: Endpoint, request: RegistryRequest) -> aiohttp.ClientResponse:
        refused = seen_broken = 0
        retries_busy = request.retry_on is not RetryOn.NOTHING
        retries_broken = request.retry_on is RetryOn.BUSY_OR_BROKEN
        for attempt in range(_ATTEMPTS):
            header = await self._auth.header(endpoint, request.scopes, request.credentials)
            try:
                response = await self._once(endpoint, request, header)
            except failures.RequestFailed as err:
                may_repeat = err.soon and request.body is None and retries_broken
                if not may_repeat or attempt + 1 == _ATTEMPTS:
                    raise
                await asyncio.sleep(_SOON_S)
                continue
            if response.status == 401 and attempt + 1 < _ATTEMPTS:
                if not await self._learned(endpoint, request, response, header, refused):
                    return response
                refused += 1
            elif response.status in _BUSY and retries_busy and attempt + 1 < _ATTEMPTS:
                wait_s = _retry_after(response, self.retry.first_s)
                if wait_s > _MOST_WAIT_S:
                    return response
                await asyncio.sleep(wait_s)
            elif response.status in _BROKEN and retries_broken and not seen_broken:
                seen_broken = 1
            else:
                return response
            response.release()
        raise AssertionError("the last attempt returns")

    async def _learned(
        self,
        endpoint: Endpoint,
        request: RegistryRequest,
        response: aiohttp.ClientResponse,
        sent: str | None,
        refused: int,
    ) -> bool:
        """Whether another attempt can be authorised better than the one that got this 401, after
        so many others."""
        headers = response.headers.getall("WWW-Authenticate", [])
        try:
            challenge = self._auth.learn(endpoint, request.scopes, headers, again=refused > 0)
        except failures.TokenRefused:
            response.release()
            raise
        if challenge is None:
            return False
        if challenge.scheme == "basic":
            again = await self._auth.header(endpoint, request.scopes, request.credentials)
            return again is not None and again != sent
        if sent is not None:
            self._auth.forget_tokens(endpoint)
        return refused < _TOKENS

    async def _once(
        self, endpoint: Endpoint, request: RegistryRequest, authorization: str | None
    ) -> aiohttp.ClientResponse:
        if endpoint.plain_fallback and endpoint.host in self._plain:
            endpoint, request = endpoint.plain(), _plain(request)
        headers = dict(request.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        body = request.body() if callable(request.body) else request.body
        try:
            return await self._http.send(
                request.method,
                request.url,
                headers=headers,
                body=body,
                ssl=endpoint.ssl,
                redirects=request.method in ("GET", "HEAD"),
            )
        except (aiohttp.ClientError, OSError, RedirectRefused) as err:
            failure = failures.failed(request.method, request.url, err)
            if endpoint.plain_fallback and _try_plain(failure, endpoint):
                self._plain.add(endpoint.host)
                return await self._once(endpoint, request, authorization)
            raise failure from err

    async def with_retries(
        self, attempt: Callable[[], Awaitable[T]], log: Callable[[str], None] | None = None
    ) -> T:
        """See `with_retries`."""
        return await with_retries(self.retry, failures.retriable, attempt, log)


def _ended_with(ends: contextlib.AsyncExitStack, body: Stream) -> Stream:
    """A body that is closed when its request is over, however much of it has been sent."""

    def begin() -> AsyncGenerator[bytes, None]:
        pieces = body()
        ends.push_async_callback(_close, pieces)
        return pieces

    return begin


async def _close(pieces: AsyncGenerator[bytes, None]) -> None:
    # Run by the task that sent it, which is cancelled, and not awaited.
    while isinstance(pieces, AsyncGeneratorType) and pieces.ag_running:
        await asyncio.sleep(_AT_ONCE_S)
    await pieces.aclose()


async def with_retries(
    retry: Retry,
    retriable: Callable[[CrozeError], bool],
    attempt: Callable[[], Awaitable[T]],
    log: Callable[[str], None] | None = None,
) -> T:
    """Run a transfer until it works, fails for good, or was tried often enough."""
    wait_s = retry.first_s
    while True:
        try:
            return await attempt()
        except CrozeError as err:
            if not retriable(err) or wait_s >= retry.limit_s:
                raise
            if log is not None:
                log(f"error: {err}\nretrying in {wait_s:g}s\n")
        await asyncio.sleep(wait_s)
        wait_s *= 2


def _plain(request: RegistryRequest) -> RegistryRequest:
    return replace(request, url="http" + request.url.removeprefix("https").removeprefix("http"))


def _try_plain(failure: failures.RequestFailed, endpoint: Endpoint) -> bool:
    """TLS was not understood; or nobody listens on 443, which says nothing about 80."""
    has_port = endpoint.host.rpartition(":")[2].isdigit() and not endpoint.host.endswith("]")
    return failure.tls or (not has_port and "connection refused" in str(failure))


def _retry_after(response: aiohttp.ClientResponse, default_s: float) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else default_s
