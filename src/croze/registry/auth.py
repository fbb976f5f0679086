"""Answers to `WWW-Authenticate`: Basic, and Bearer tokens by scope.

Source: distribution project, `docs/spec/auth` (token and OAuth2 requests).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

from croze.errors import CrozeError
from croze.files.redact import redact
from croze.http.authorization import basic
from croze.http.daemon import HttpClient, read_all
from croze.http.encodings import ACCEPTED
from croze.http.lazy import aiohttp
from croze.http.redirects import RedirectRefused
from croze.http.tokens import IssuedToken, may_know_other, read_token, token_form, token_url
from croze.registry import failures
from croze.registry.challenges import Challenge, merge_scopes, parse_challenges
from croze.registry.credentials import Credentials, Login
from croze.registry.hosts import Endpoint

_ANSWER_BYTES = 1 << 20
_NO_MORE = "server message: insufficient_scope: authorization failed"
_SCHEMES = ("bearer", "basic")
"""The schemes that we know, the best first."""
_CHALLENGES_MOST = 10_000
_TOKENS_BYTES = 16 << 20
"""The most of all tokens that are kept, with what they are for: any registry may have them last for
ever."""


class Authorizer:
    """Remembers what each host asked for, of each repository (behind one name may be several
    registries), and tokens until shortly before they run out."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._challenges: dict[tuple[str, str], Challenge] = {}
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self._under_way: dict[tuple[str, ...], asyncio.Future[None]] = {}
        """What is done when a token has come, or does not come."""

    async def header(
        self, endpoint: Endpoint, scopes: Sequence[str], who: Credentials
    ) -> str | None:
        """The `Authorization` header for a request, None while the host has not asked."""
        challenge = self._challenges.get(_place(endpoint, scopes))
        if challenge is None:
            return None
        if challenge.scheme == "basic":
            return _basic(await who.login(endpoint.host))
        return f"Bearer {await self._token(endpoint, challenge, scopes, who)}"

    def learn(
        self, endpoint: Endpoint, scopes: Sequence[str], headers: Sequence[str], *, again: bool
    ) -> Challenge | None:
        """Take note of what a 401 asks for; None if it asks for nothing we know. Raises
        `failures.TokenRefused` where it comes `again`, and a token for all it asks for was not
        enough."""
        place = _place(endpoint, scopes)
        challenges = [each for each in parse_challenges(headers) if each.scheme in _SCHEMES]
        if not challenges:
            return None
        challenge = min(challenges, key=lambda each: _SCHEMES.index(each.scheme))
        if (before := self._challenges.pop(place, None)) is not None:
            shown = [*scopes, *before.scopes]
            if again and challenge.is_final(shown):
                raise failures.TokenRefused(_NO_MORE)
            challenge = challenge.after(before)
        while len(self._challenges) >= _CHALLENGES_MOST:
            del self._challenges[next(iter(self._challenges))]
        self._challenges[place] = challenge
        return challenge

    def forget_tokens(self, endpoint: Endpoint) -> None:
        """The host refused a token."""
        for key in [key for key in self._tokens if key[0] == endpoint.host]:
            del self._tokens[key]

    async def _token(
        self, endpoint: Endpoint, challenge: Challenge, scopes: Sequence[str], who: Credentials
    ) -> str:
        realm, service = challenge.realm, challenge.parameters.get("service", "")
        merged = merge_scopes([*scopes, *challenge.scopes])
        base = (endpoint.host, realm, service, *merged)
        authority = await who.authority(endpoint.host)
        if authority:
            key = (*base, "authority", authority)
            async with self._alone(key):
                if (fresh := self._fresh(key)) is not None:
                    return fresh
                token = await who.token(endpoint.host, realm, service, merged)
                if token is not None:
                    return self._keep(key, token)
        login = await who.login(endpoint.host)
        key = (*base, "login", login.username, hashlib.sha256(login.secret.encode()).hexdigest())
        async with self._alone(key):
            if (fresh := self._fresh(key)) is not None:
                return fresh
            return self._keep(key, await self._fetch(endpoint, realm, service, merged, login))

    @asynccontextmanager
    async def _alone(self, key: tuple[str, ...]) -> AsyncIterator[None]:
        """Who is the first to fetch a token is alone in that; others wait for the first, whose
        token is theirs, and then don't wait for one another: it may have come to nothing."""
        if (first := self._under_way.get(key)) is not None:
            await asyncio.wait([first])
            yield
            return
        done = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._under_way[key]
            done.set_result(None)

    def _fresh(self, key: tuple[str, ...]) -> str | None:
        value, until = self._tokens.get(key, ("", 0.0))
        return value if time.monotonic() < until else None

    def _keep(self, key: tuple[str, ...], token: IssuedToken) -> str:
        now = time.monotonic()
        self._tokens = {k: cached for k, cached in self._tokens.items() if cached[1] > now}
        size = sum(map(_size, self._tokens.items()))
        while self._tokens and size > _TOKENS_BYTES:
            oldest = next(iter(self._tokens))
            size -= _size((oldest, self._tokens.pop(oldest)))
        self._tokens[key] = (token.value, now + 0.9 * token.lifetime_s)
        return token.value

    async def _fetch(
        self, endpoint: Endpoint, realm: str, service: str, scopes: Sequence[str], login: Login
    ) -> IssuedToken:
        what = "oauth" if login.secret else "anonymous"
        try:
            try:
                return await self._get(endpoint, realm, service, scopes, login)
            except failures.UnexpectedStatus as err:
                if not (login.secret and may_know_other(err.status, login.username)):
                    raise
                return await self._post(endpoint, realm, service, scopes, login)
        except CrozeError as err:
            raise err.wrap(f"failed to authorize: failed to fetch {what} token") from err

    async def _get(
        self, endpoint: Endpoint, realm: str, service: str, scopes: Sequence[str], login: Login
    ) -> IssuedToken:
        headers = ACCEPTED | (basic(login.username, login.secret) if login.secret else {})
        url = token_url(realm, service, scopes)
        request = self._http.send("GET", url, headers=headers, ssl=endpoint.ssl)
        return await _read_answer("GET", url, request, has_login=bool(login.secret))

    async def _post(
        self, endpoint: Endpoint, realm: str, service: str, scopes: Sequence[str], login: Login
    ) -> IssuedToken:
        form = token_form(service, scopes, login.username, login.secret)
        request = self._http.send("POST", realm, headers=ACCEPTED, body=form, ssl=endpoint.ssl)
        return await _read_answer("POST", realm, request, has_login=True)


async def _read_answer(
    method: str,
    url: str,
    request: Coroutine[None, None, aiohttp.ClientResponse],
    *,
    has_login: bool,
) -> IssuedToken:
    try:
        async with await request as response:
            if not 200 <= response.status < 400:
                raise await failures.no_token(response, redact(url), has_login=has_login)
            what = f"the token response of {redact(url.partition('?')[0])}"
            body = await read_all(response, _ANSWER_BYTES, what)
            return read_token(body, posted=method == "POST")
    except (aiohttp.ClientError, OSError, RedirectRefused) as err:
        request_line = f'{method.capitalize()} "{redact(url)}"'
        raise failures.no_answer(request_line, err) from err


def _size(token: tuple[tuple[str, ...], tuple[str, float]]) -> int:
    """How many bytes a token takes, with what it is for."""
    key, (value, _) = token
    return len(value) + sum(map(len, key))


def _place(endpoint: Endpoint, scopes: Sequence[str]) -> tuple[str, str]:
    """The host, and the repository that is asked for first."""
    return endpoint.host, scopes[0].rpartition(":")[0] if scopes else ""


def _basic(login: Login) -> str | None:
    if not login.username or not login.secret:
        return None
    return basic(login.username, login.secret)["Authorization"]
