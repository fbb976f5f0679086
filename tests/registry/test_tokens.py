"""What token servers answer, whatever that is."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import re
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web

from croze.errors import CrozeError
from croze.http.tokens import IssuedToken, read_token, token_url
from croze.image.descriptor import Descriptor
from croze.registry import pull
from croze.registry.client import Registry
from croze.registry.credentials import Login
from tests.registry.blobs import BLOB
from tests.registry.pushing import repository
from tests.registry.servers import serve
from tests.support.logins import Fixed


@contextlib.asynccontextmanager
async def guarded(
    token: Callable[[web.Request], Awaitable[web.StreamResponse]],
    about: Callable[[], str] = lambda: 'service="s"',
) -> AsyncIterator[str]:
    """A registry that gives `BLOB` to whoever shows the token `abc`, and sends all others to
    `/token`, which answers as `token` does; `about` is what it says of the token it wants."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return await token(request)
        if request.headers.get("Authorization") == "Bearer abc":
            return web.Response(body=BLOB)
        challenge = f'Bearer realm="http://{request.host}/token",{about()}'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with serve(app) as host:
        yield host


async def test_a_token_without_end(client: Registry, blob: Descriptor) -> None:
    async def token(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" " * 65536)
        return response

    async with guarded(token) as host:
        with pytest.raises(CrozeError, match="/token has more than 1048576 bytes"):
            await pull.fetch_manifest(repository(client, f"{host}/x"), blob)


async def test_large_tokens_for_ever(client: Registry, blob: Descriptor) -> None:
    """The oldest are asked for again, rather than all kept."""
    asked: list[str] = []

    async def token(request: web.Request) -> web.Response:
        asked.append(request.query["scope"])
        return web.json_response({"token": "a" * 1_000_000, "expires_in": (1 << 63) - 1})

    async with guarded(token) as host:
        for number in (*range(20), 19, 0):
            with contextlib.suppress(CrozeError):  # no server takes a head with one in it
                await pull.resolve(repository(client, f"{host}/x{number}"))
    assert [scope.split(":")[1] for scope in asked[-3:]] == ["x18", "x19", "x0"]


TOKEN = b'{"token": "abc"}'
ENCODED = {
    "gzip": (gzip.compress(TOKEN), ""),
    "deflate": (zlib.compress(TOKEN), ""),
    "identity": (TOKEN, ""),
    "br": (TOKEN, "unsupported Content-Encoding algorithm: br"),
    "x-gzip": (gzip.compress(bytes(64 << 20)), "/token has more than 1048576 bytes"),
    "zstd": (TOKEN, "failed to decode the body"),
}
"""How a token comes, and what is told of it where it can't be had."""


@pytest.mark.parametrize("encoding", ENCODED)
async def test_a_token_that_is_encoded(client: Registry, blob: Descriptor, encoding: str) -> None:
    """gzip is asked for, as Go's client does; for the rest servers answer themselves."""
    body, trouble = ENCODED[encoding]
    accepted: list[str] = []

    async def token(request: web.Request) -> web.Response:
        accepted.append(request.headers["Accept-Encoding"])
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    async with guarded(token) as host:
        asking = pull.fetch_manifest(repository(client, f"{host}/x"), blob)
        if trouble:
            with pytest.raises(CrozeError, match=re.escape(trouble)):
                await asking
        else:
            assert await asking == BLOB
    assert accepted[0] == "gzip"


UNDECODABLE = "unable to decode token response: "
ANSWERS = {
    b'{"token": "abc", "access_token": null, "expires_in": null}': "",
    b'{"token": "abc", "expires_in": -5}': "",
    b'{"Token": "abc", "ISSUED_AT": 5}': "",
    b' {"token": "abc"} and more': "",
    b'{"token": "other", "access_token": "abc"}': "",
    b"null": "did not include a token",
    b'{"token": null}': "did not include a token",
    b'{"token": "a\\nb"}': "sent a token that no request can have",
    b"": f"{UNDECODABLE}EOF",
    b' {"token": "a': f"{UNDECODABLE}unexpected EOF",
    b"<html>": f"{UNDECODABLE}invalid character '<' looking for beginning of value",
    b'{"token": NaN}': f"{UNDECODABLE}invalid character 'N' looking for beginning of value",
    b"[" * 100_000: f"{UNDECODABLE}exceeded max depth",
    b'["a"]': f"{UNDECODABLE}json: cannot unmarshal array into Go value of type "
    "auth.FetchTokenResponse",
    b'{"token": 5}': f"{UNDECODABLE}json: cannot unmarshal number into Go struct field "
    "FetchTokenResponse.token of type string",
    b'{"token": "abc", "expires_in": "300"}': f"{UNDECODABLE}json: cannot unmarshal string into "
    "Go struct field FetchTokenResponse.expires_in of type int",
    b'{"token": "abc", "expires_in": 300.5}': f"{UNDECODABLE}json: cannot unmarshal number 300.5 "
    "into Go struct field FetchTokenResponse.expires_in of type int",
    b'{"token": "abc", "expires_in": true}': f"{UNDECODABLE}json: cannot unmarshal bool into ",
    b'{"token": "abc", "expires_in": 1%s}' % (b"0" * 400): UNDECODABLE,
    b'{"token": "abc", "expires_in": 1%s}' % (b"0" * 4000): UNDECODABLE,
    b'{"token": "abc", "expires_in": 99999999999999999999}': UNDECODABLE,
}
"""What a token server may say, and what is told of it where that is no token."""


@pytest.mark.parametrize("body", ANSWERS)
async def test_what_a_token_server_says(client: Registry, blob: Descriptor, body: bytes) -> None:
    trouble = ANSWERS[body]

    async def token(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with guarded(token) as host:
        asking = pull.fetch_manifest(repository(client, f"{host}/x"), blob)
        if trouble:
            with pytest.raises(CrozeError, match=re.escape(trouble)):
                await asking
        else:
            assert await asking == BLOB


async def test_the_scope_that_a_registry_asks_for(client: Registry, blob: Descriptor) -> None:
    """It is asked for besides what is needed: behind a name may be a repository of another."""
    asked: list[list[str]] = []

    async def token(request: web.Request) -> web.Response:
        asked.append(request.query.getall("scope"))
        return web.Response(body=TOKEN)

    async with guarded(token, lambda: 'scope="repository:proxied/x:pull"') as host:
        assert await pull.fetch_manifest(repository(client, f"{host}/x"), blob) == BLOB
    assert asked == [["repository:proxied/x:pull", "repository:x:pull"]]


@pytest.mark.parametrize("fails", [True, False])
async def test_one_token_for_all_who_ask_at_once(
    client: Registry, blob: Descriptor, fails: bool
) -> None:
    """Where the first gets none, the others ask for themselves."""
    asked, all_refused = [0], asyncio.Event()
    refused: list[None] = []

    async def token(_: web.Request) -> web.Response:
        asked[0] += 1
        await all_refused.wait()
        if fails and asked[0] == 1:
            return web.Response(status=403)
        return web.Response(body=TOKEN)

    def about() -> str:
        refused.append(None)
        if len(refused) == 5:
            all_refused.set()
        return 'service="s"'

    async with guarded(token, about) as host:
        asking = [pull.fetch_manifest(repository(client, f"{host}/x"), blob) for _ in range(5)]
        answers = await asyncio.gather(*asking, return_exceptions=True)
    assert answers.count(BLOB) == (4 if fails else 5)
    assert asked[0] == (5 if fails else 1)


@pytest.mark.parametrize("encoding", ["gzip", "identity", "br"])
async def test_refusals_that_are_encoded(client: Registry, blob: Descriptor, encoding: str) -> None:
    """What they say is read as well; what nobody can read is left out."""
    said = b'{"errors": [{"code": "DENIED", "message": "not on Sundays"}]}'
    body = gzip.compress(said) if encoding == "gzip" else said

    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=400, body=body, headers={"Content-Encoding": encoding})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with serve(app) as host:
        with pytest.raises(CrozeError, match="400 Bad Request") as caught:
            await pull.fetch_manifest(repository(client, f"{host}/x"), blob)
    assert ("not on Sundays" in str(caught.value)) is (encoding != "br")


@pytest.mark.parametrize("status", [200, 401, 404, 405])
async def test_identity_tokens(client: Registry, blob: Descriptor, status: int) -> None:
    """They are shown in the place of a password; without them a server has tokens of nobody."""
    asked: list[tuple[str, str]] = []

    async def token(request: web.Request) -> web.Response:
        asked.append((request.method, request.headers.get("Authorization", "")))
        if request.method == "POST":
            form = await request.post()
            assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "idt")
            return web.Response(body=b'{"access_token": "abc"}')
        return web.Response(status=status, body=TOKEN)

    async with guarded(token) as host:
        repo = repository(client, f"{host}/x", Fixed(Login(secret="idt")))
        if status == 405:
            with pytest.raises(CrozeError, match="405 Method Not Allowed"):
                await pull.fetch_manifest(repo, blob)
        else:
            assert await pull.fetch_manifest(repo, blob) == BLOB
    shown = ("GET", "Basic " + base64.b64encode(b":idt").decode())
    assert asked == ([shown, ("POST", "")] if status in (401, 404) else [shown])


@pytest.mark.parametrize(("error", "tokens"), [("insufficient_scope", 1), ("invalid_token", 3)])
async def test_tokens_that_are_refused(
    client: Registry, blob: Descriptor, error: str, tokens: int
) -> None:
    """There is no better one than for all that was asked for; what is wrong with others, a new one
    may be without."""
    asked: list[str] = []

    async def token(request: web.Request) -> web.Response:
        asked.append(request.query["scope"])
        return web.Response(body=b'{"token": "other"}')

    about = f'scope="repository:x:pull",error="{error}"'
    told = "insufficient_scope: authorization failed" if tokens == 1 else "401 Unauthorized"
    async with guarded(token, lambda: about) as host:
        with pytest.raises(CrozeError, match=told):
            await pull.fetch_manifest(repository(client, f"{host}/x"), blob)
    assert asked == ["repository:x:pull"] * tokens


def test_tokens_that_are_not_new() -> None:
    """A server that hands out what it has may hand out what is nearly over."""
    issued_at = int(time.time()) - 3000
    moment = datetime.fromtimestamp(issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    body = json.dumps({"token": "abc", "expires_in": 3600, "issued_at": moment}).encode()
    token = read_token(body, posted=False)
    assert token == IssuedToken("abc", 3600, issued_at)
    assert token.lifetime_s <= 600
    never = read_token(b'{"token": "a", "issued_at": "0001-01-01T00:00:00Z"}', posted=False)
    assert never == IssuedToken("a", 60, 0)


def test_what_token_servers_are_asked() -> None:
    ask = ("s", ["r:a:pull", "r:b:pull,push"])
    assert token_url("http://x/t", *ask) == (
        "http://x/t?scope=r%3Aa%3Apull&scope=r%3Ab%3Apull%2Cpush&service=s"
    )
    assert token_url("http://x/t?a=b#c", "s", []) == "http://x/t?a=b&service=s#c"
    assert token_url("http://x/t", "", []) == "http://x/t"
