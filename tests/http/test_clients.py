"""Both HTTP clients against servers that want what is not theirs."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from croze.errors import Corrupted, CrozeError, Unavailable
from croze.http import client
from croze.http.daemon import HttpClient
from croze.http.redirects import RedirectRefused
from tests.http.servers import Asked, Reply, server

LOGIN = {"Authorization": "Basic bXk6cGFzcw=="}
Ask = Callable[..., tuple[int, bytes]]


def by_client(
    url: str, headers: dict[str, str] | None = None, form: dict[str, str] | None = None
) -> tuple[int, bytes]:
    answer = client.fetch(url, headers=headers, form=form)
    return answer.status, answer.body


def by_daemon(
    url: str, headers: dict[str, str] | None = None, form: dict[str, str] | None = None
) -> tuple[int, bytes]:
    async def ask() -> tuple[int, bytes]:
        http = HttpClient()
        try:
            method = "GET" if form is None else "POST"
            async with await http.send(method, url, headers=headers, body=form) as response:
                return response.status, await response.read()
        finally:
            await http.close()

    return asyncio.run(ask())


@pytest.fixture(params=[by_client, by_daemon])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    netrc = tmp_path / "home/.netrc"
    netrc.parent.mkdir()
    netrc.write_text("default login netrc password hush\n")
    monkeypatch.setenv("HOME", str(netrc.parent))
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found: Ask = request.param
    return found


@pytest.fixture
def thief() -> Iterator[tuple[str, list[Asked]]]:
    with server(lambda asked: Reply(body=b"thanks")) as made:
        yield made


def test_an_answer(ask: Ask) -> None:
    with server(lambda asked: Reply(404, body=asked.path.encode())) as (url, seen):
        assert ask(f"{url}/a%2Fb?c=d%7E", LOGIN) == (404, b"/a%2Fb?c=d%7E")
        assert seen[0].authorization == LOGIN["Authorization"]


def test_answers_that_are_encoded() -> None:
    """However much is made of little, there is a limit."""
    large = gzip.compress(bytes(32 << 20))

    def reply(asked: Asked) -> Reply:
        body = gzip.compress(b"thanks") if asked.path == "/small" else large
        return Reply(body=body, headers={"Content-Encoding": "gzip"})

    with server(reply) as (url, seen):
        assert client.fetch(f"{url}/small").body == b"thanks"
        assert seen[0].accept_encoding == "gzip"
        with pytest.raises(CrozeError, match="/large is larger than 1000000 bytes"):
            client.fetch(f"{url}/large", limit_bytes=1_000_000)
    cut = Reply(body=gzip.compress(b"thanks")[:-4], headers={"Content-Encoding": "gzip"})
    with server(lambda asked: cut) as (url, _), pytest.raises(Corrupted, match="unexpected EOF"):
        client.fetch(url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x"])
def test_only_the_web(ask: Ask, url: str) -> None:
    with pytest.raises(RedirectRefused, match="unsupported protocol scheme"):
        ask(url)
    with (
        server(lambda asked: Reply(302, {"Location": url})) as (start, _),
        pytest.raises(RedirectRefused, match="unsupported protocol scheme"),
    ):
        ask(start)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_stay(ask: Ask, thief: tuple[str, list[Asked]], status: int) -> None:
    with server(lambda asked: Reply(status, {"Location": thief[0]})) as (url, seen):
        assert ask(url, LOGIN) == (200, b"thanks")
        assert ask(url.replace("//", "//my:pass@")) == (200, b"thanks")
        assert [asked.authorization for asked in seen] == [LOGIN["Authorization"]] * 2
    assert [asked.authorization for asked in thief[1]] == ["", ""]


@pytest.mark.parametrize("status", [307, 308])
def test_a_form_stays(ask: Ask, thief: tuple[str, list[Asked]], status: int) -> None:
    form = {"password": "hush"}
    with (
        server(lambda asked: Reply(status, {"Location": thief[0]})) as (url, _),
        pytest.raises(RedirectRefused, match="body"),
    ):
        ask(url, form=form)
    assert thief[1] == []


def test_nothing_from_netrc_and_no_cookies(ask: Ask, thief: tuple[str, list[Asked]]) -> None:
    def reply(asked: Asked) -> Reply:
        if asked.path == "/":
            return Reply(302, {"Location": "/again", "Set-Cookie": "a=b"})
        return Reply(body=b"ok")

    with server(reply) as (url, seen):
        assert ask(f"{url}/") == (200, b"ok")
    assert [(asked.authorization, asked.cookie) for asked in seen] == [("", "")] * 2


def test_around_and_around(ask: Ask) -> None:
    with (
        server(lambda asked: Reply(302, {"Location": asked.path})) as (url, seen),
        pytest.raises(RedirectRefused, match="stopped after 10 redirects"),
    ):
        ask(f"{url}/x")
    assert len(seen) == 11


def test_by_a_proxy(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its password is for it alone, and this machine is asked itself."""
    with server(lambda asked: Reply(body=b"proxied")) as (proxy, seen):
        monkeypatch.setenv("http_proxy", proxy.replace("//", "//u:p@"))
        assert ask("http://far.test/x") == (200, b"proxied")
        assert seen[0].path == "http://far.test/x"
        assert seen[0].authorization == ""
        assert seen[0].proxy_authorization == "Basic dTpw"
        with server(lambda asked: Reply(body=b"direct")) as (url, _):
            assert ask(url) == (200, b"direct")
        monkeypatch.setenv("no_proxy", "far.test")
        with pytest.raises((CrozeError, OSError)):
            ask("http://far.test/x")


def test_too_much() -> None:
    with (
        server(lambda asked: Reply(body=b"x" * 100)) as (url, _),
        pytest.raises(CrozeError, match="larger than 99 bytes"),
    ):
        client.fetch(url, limit_bytes=99)


def test_no_answer_shows_no_password() -> None:
    with pytest.raises(Unavailable) as failed:
        client.fetch("http://user:hush@127.0.0.1:1/x")
    assert "xxxxx:xxxxx@127.0.0.1" in str(failed.value)
    assert "hush" not in str(failed.value)
