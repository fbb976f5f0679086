"""Credentials and tokens from a client's session, at a real registry."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from croze.errors import CrozeError
from croze.http.tokens import IssuedToken
from croze.image import reference
from croze.registry import pull
from croze.registry.client import Registry
from croze.registry.credentials import Login
from croze.registry.session_auth import SessionCredentials
from croze.registry.transport import Retry
from croze.session.dockerconfig import DockerConfig
from croze.session.providers.auth import AuthProvider
from tests.registry.blobs import Folder
from tests.registry.pushing import push_all, repository
from tests.registry.servers import HTPASSWD, docker_registry, token_server
from tests.session.conftest import Daemon, Lend
from tests.support.logins import Fixed


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.delenv("BUILDKIT_NO_CLIENT_TOKEN", raising=False)
    return folder


def log_in(config: Path, host: str) -> None:
    auth = base64.b64encode(b"user:secret").decode()
    (config / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


async def test_a_password(
    client: Registry, daemon: Daemon, lending: Lend, docker_config: Path, tmp_path: Path
) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    content = Folder(tmp_path)
    auth = f"auth: {{htpasswd: {{realm: basic, path: {tmp_path}/htpasswd}}}}"
    with docker_registry(tmp_path, auth) as host:
        log_in(docker_config, host)
        async with lending([AuthProvider()]) as session:
            who = SessionCredentials(daemon.sessions, [session.id])
            root = content.image(b"x")
            await push_all(repository(client, f"{host}/app:1", who), root, content)
            assert await pull.resolve(repository(client, f"{host}/app:1", who)) == root
        gone = SessionCredentials(daemon.sessions, [session.id])
        with pytest.raises(CrozeError, match="401 Unauthorized"):
            await pull.resolve(repository(client, f"{host}/app:1", gone))


@pytest.mark.parametrize("by_token", [True, False])
async def test_a_client_that_fails(
    client: Registry,
    daemon: Daemon,
    lending: Lend,
    docker_config: Path,
    tmp_path: Path,
    by_token: bool,
) -> None:
    """Another is asked in its place. If there is none its error is told: it is not nobody."""
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    content = Folder(tmp_path)
    async with token_server(tmp_path) as tokens:
        basic = f"auth: {{htpasswd: {{realm: basic, path: {tmp_path}/htpasswd}}}}"
        with docker_registry(tmp_path, tokens.registry_auth() if by_token else basic) as host:
            log_in(docker_config, host)
            broken = AuthProvider(DockerConfig({"credsStore": "nosuch"}))
            async with lending([broken]) as bad, lending([AuthProvider()]) as good:
                both = SessionCredentials(daemon.sessions, [bad.id, good.id])
                root = content.image(b"x")
                await push_all(repository(client, f"{host}/app:1", both), root, content)
                alone = SessionCredentials(daemon.sessions, [bad.id])
                with pytest.raises(CrozeError, match='"docker-credential-nosuch": executable'):
                    await pull.resolve(repository(client, f"{host}/app:1", alone))


@pytest.mark.parametrize("own_tokens", [True, False])
async def test_tokens_serve_later_sessions_of_the_same_user(
    client: Registry,
    daemon: Daemon,
    lending: Lend,
    docker_config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own_tokens: bool,
) -> None:
    if not own_tokens:
        monkeypatch.setenv("BUILDKIT_NO_CLIENT_TOKEN", "1")
    content = Folder(tmp_path)
    async with token_server(tmp_path) as tokens:
        with docker_registry(tmp_path, tokens.registry_auth()) as host:
            log_in(docker_config, host)
            root = content.image(b"x")
            login = Fixed(Login("user", "secret"))
            await push_all(repository(client, f"{host}/app:1", login), root, content)
            fresh = Registry(retry=Retry(0.001, 0.008))
            tokens.asked.clear()
            try:
                for _ in range(2):
                    async with lending([AuthProvider()]) as session:
                        who = SessionCredentials(daemon.sessions, [session.id])
                        assert await pull.resolve(repository(fresh, f"{host}/app:1", who)) == root
                assert [scopes for _, scopes in tokens.asked] == ["repository:app:pull"]
                (docker_config / "config.json").write_text("{}")
                async with lending([AuthProvider()]) as session:
                    who = SessionCredentials(daemon.sessions, [session.id])
                    assert await pull.resolve(repository(fresh, f"{host}/app:1", who)) == root
                assert len(tokens.asked) == 2
            finally:
                await fresh.close()


async def test_what_a_registry_is_asked_for_is_a_repository(client: Registry) -> None:
    repo = client.repository(reference.parse("x.io/a/b:1"), Fixed(Login()))
    assert repo.url(repo.endpoints()[0], "tags/list") == "https://x.io/v2/a/b/tags/list"


@pytest.mark.parametrize(("age_s", "lasts_s"), [(0, 300), (100, 200), (10_000, 300), (-50, 300)])
def test_a_clock_that_is_wrong(age_s: int, lasts_s: int) -> None:
    """A token that would be over when it comes serves all the same, as with BuildKit."""
    token = IssuedToken("t", 300, int(time.time()) - age_s)
    assert lasts_s - 5 < token.lifetime_s <= lasts_s + 5
