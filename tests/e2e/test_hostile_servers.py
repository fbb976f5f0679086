"""Registries and web servers that ask for more than is theirs, against the real CLI and daemon."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from croze.http.urls import parse_url
from tests.e2e.sandbox import Sandbox
from tests.http.servers import Asked, Reply, server

LOGIN = "Basic " + base64.b64encode(b"me:hush").decode()


@pytest.fixture
def thief() -> Iterator[tuple[str, list[Asked]]]:
    with server(lambda asked: Reply(body=b'{"token": "stolen"}')) as made:
        yield made


def log_in(sandbox: Sandbox, host: str) -> None:
    """`docker login`, by hand."""
    folder = sandbox.path / ".docker"
    folder.mkdir(exist_ok=True)
    auth = LOGIN.removeprefix("Basic ")
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def pull(sandbox: Sandbox, host: str) -> str:
    """A build on an image of the registry, which fails; its output."""
    context = sandbox.context("c", {"Dockerfile": f"FROM {host}/evil/image\nCOPY . /\n"})
    done = sandbox.croze("build", "--progress=plain", context, check=False)
    assert done.code == 1
    return done.output


@pytest.mark.parametrize("logged_in", [True, False])
def test_a_realm_that_is_a_file(sandbox: Sandbox, logged_in: bool) -> None:
    secret = sandbox.path / "secret.json"
    secret.write_text('{"token": "stolen"}')

    def reply(asked: Asked) -> Reply:
        # The file's name may be put together with a query: a fragment would hide it.
        realm = f"file://{secret}#"
        return Reply(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})

    with server(reply) as (url, seen):
        host = parse_url(url).netloc
        if logged_in:
            log_in(sandbox, host)
        output = pull(sandbox, host)
    assert 'unsupported protocol scheme "file"' in output
    assert seen
    assert all("stolen" not in asked.authorization for asked in seen)


@pytest.mark.parametrize("status", [302, 307])
def test_a_realm_that_leads_elsewhere(
    sandbox: Sandbox, thief: tuple[str, list[Asked]], status: int
) -> None:
    def reply(asked: Asked) -> Reply:
        if asked.path.startswith("/token"):
            return Reply(status, {"Location": f"{thief[0]}{asked.path}"})
        realm = f"http://{host[0]}/token"
        return Reply(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})

    host = [""]
    with server(reply) as (url, seen):
        host[0] = parse_url(url).netloc
        log_in(sandbox, host[0])
        pull(sandbox, host[0])
    assert any(b"hush" in asked.body or asked.authorization == LOGIN for asked in seen)
    for asked in thief[1]:
        assert not asked.authorization
        assert b"hush" not in asked.body
        assert "hush" not in asked.path


def test_the_daemons_netrc_stays(sandbox: Sandbox, thief: tuple[str, list[Asked]]) -> None:
    """It is of whoever runs the daemon, not of whoever builds."""
    (sandbox.path / ".netrc").write_text("default login me password hush\n")
    with server(lambda asked: Reply(401, {"WWW-Authenticate": "Basic realm=x"})) as (url, seen):
        pull(sandbox, parse_url(url).netloc)
        context = sandbox.context("d", {"Dockerfile": f"FROM scratch\nADD {url}/file /\n"})
        sandbox.croze("build", context, check=False)
    assert any(asked.path.endswith("/file") for asked in seen)
    assert any("/v2/" in asked.path for asked in seen)
    assert {asked.authorization for asked in seen} == {""}


def test_a_dockerfile_of_the_web_is_of_the_web(
    sandbox: Sandbox, thief: tuple[str, list[Asked]]
) -> None:
    (sandbox.path / "secret").write_text("FROM scratch\nLABEL stolen=1\nCOPY / /\n")
    where = f"file://{sandbox.path}/secret"
    context = sandbox.context("c", {"a": "b"})
    with server(lambda asked: Reply(302, {"Location": where})) as (url, _):
        login = url.replace("//", "//me:hush@")
        done = sandbox.croze("build", "-f", f"{login}/Dockerfile", context, check=False)
    assert done.code == 1
    assert 'unsupported protocol scheme "file"' in done.output
    assert "hush" not in done.output
