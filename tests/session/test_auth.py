"""Registry credentials and tokens, with a real token server and helper programs."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from croze import errors
from croze.api import control_pb2
from croze.client.solving.auth_log import AuthLog
from croze.http.tokens import IssuedToken
from croze.http.urls import parse_url
from croze.session import auth, ed25519
from croze.session.dockerconfig import AuthConfig, DockerConfig
from croze.session.providers.auth import AuthProvider, host_secret
from croze.session.token_tls import TokenTls
from tests.session.conftest import Lend
from tests.support.certificates import make_certificate


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    monkeypatch.delenv("BUILDKIT_NO_CLIENT_TOKEN", raising=False)
    return tmp_path


def write_config(folder: Path, values: object) -> None:
    (folder / "config.json").write_text(json.dumps(values))


def basic(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


# -- the configuration -----------------------------------------------------------------------


def test_credentials_in_the_file(docker_config: Path) -> None:
    auths = {
        "reg:5000": basic("user:pa:ss"),
        "https://index.docker.io/v1/": basic("hub:secret"),
        "https://url.example/v2/": {"identitytoken": "tok"},
        "plain": {"username": "u", "password": "p"},
    }
    write_config(docker_config, {"auths": auths})
    config = DockerConfig.load()
    assert config.auth_for("reg:5000") == AuthConfig("user", "pa:ss")
    assert config.auth_for("registry-1.docker.io") == AuthConfig("hub", "secret")
    token = config.auth_for("url.example")
    assert (token.user, token.secret) == ("", "tok")
    assert config.auth_for("plain") == AuthConfig("u", "p")
    assert config.auth_for("other") == AuthConfig()


def test_no_configuration(docker_config: Path) -> None:
    assert DockerConfig.load().auth_for("x") == AuthConfig()
    (docker_config / "config.json").write_text("{")
    with pytest.raises(errors.CrozeError, match="loading config file"):
        DockerConfig.load()


def test_helper_programs(
    docker_config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    helper = docker_config / "docker-credential-test"
    helper.write_text(
        "#!/bin/sh\n"
        "read host\n"
        'case "$host" in\n'
        'ok) echo \'{"Username":"u","Secret":"s"}\' ;;\n'
        'token) echo \'{"Username":"<token>","Secret":"t"}\' ;;\n'
        "none) echo credentials not found in native keychain; exit 1 ;;\n"
        "killed) kill -9 $$ ;;\n"
        "text) echo hello ;;\n"
        "*) echo why >&2; echo broken; exit 2 ;;\n"
        "esac\n"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker_config}:{os.environ['PATH']}")
    write_config(
        docker_config,
        {"credsStore": "test", "credHelpers": {"special": "missing"}, "auths": {"ok": {}}},
    )
    config = DockerConfig.load()
    assert config.auth_for("ok") == AuthConfig("u", "s")
    assert config.auth_for("token") == AuthConfig(identity_token="t")
    assert config.auth_for("none") == AuthConfig()
    with pytest.raises(errors.CrozeError, match="exit status 2, out: `broken`"):
        config.auth_for("bad")
    assert capfd.readouterr().err == "why\n"
    with pytest.raises(errors.CrozeError, match="err: signal: killed, out: ``"):
        config.auth_for("killed")
    with pytest.raises(errors.CrozeError, match=r"^invalid character 'h' looking for"):
        config.auth_for("text")
    missing = 'exec: "docker-credential-missing": executable file not found in $PATH'
    told = f"error getting credentials - err: {missing}, out: ``"
    with pytest.raises(errors.CrozeError, match=f"^{re.escape(told)}$"):
        config.auth_for("special")
    helper.write_text("#!/nowhere\n")
    with pytest.raises(errors.CrozeError, match=f"err: fork/exec {helper}: no such file or dir"):
        config.auth_for("ok")


def test_credentials_in_the_environment(
    docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"r": basic("e:v")}}))
    assert DockerConfig.load().auth_for("r") == AuthConfig("e", "v")


def test_proxies(docker_config: Path) -> None:
    write_config(docker_config, {"proxies": {"default": {"httpProxy": "http://p", "x": "y"}}})
    assert DockerConfig.load().proxies() == {"HTTP_PROXY": "http://p"}


# -- over a session --------------------------------------------------------------------------


class TokenServer:
    """Answers as `mode` says and remembers what it was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.mode = "oauth"
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                outer._note(self, self.rfile.read(length).decode())
                if outer.mode == "oauth":
                    self._reply(200, {"access_token": "posted", "expires_in": 99})
                else:
                    errors = [{"code": "DENIED", "message": "not you", "detail": "nor today"}]
                    self._reply(404 if outer.mode == "get" else 403, {"errors": errors})

            def do_GET(self) -> None:
                outer._note(self, parse_url(self.path).query)
                if outer.mode == "busy":
                    self._reply(429, {})
                    return
                issued = "2023-11-14T22:13:20Z"
                self._reply(200, {"token": "got", "issued_at": issued})

            def _reply(self, status: int, value: object) -> None:
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.realm = f"{scheme}://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _note(self, handler: BaseHTTPRequestHandler, query: str) -> None:
        header = handler.headers.get("Authorization", "")
        self.asked.append((handler.command, parse_qs(query), header))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    yield server
    server.close()


async def fetch(
    lending: Lend, tokens: TokenServer, host: str, tls: TokenTls | None = None
) -> IssuedToken:
    async with lending([AuthProvider(tls={host: tls} if tls else None)]) as session:
        return await auth.fetch_token(
            session, host=host, realm=tokens.realm, service="svc", scopes=["a", "b"]
        )


async def test_credentials_and_tokens(
    lending: Lend, docker_config: Path, tokens: TokenServer
) -> None:
    write_config(docker_config, {"auths": {"r": basic("u:p"), "i": {"identitytoken": "t"}}})
    async with lending([AuthProvider()]) as session:
        assert await auth.credentials(session, "r") == auth.LentCredentials("u", "p")
        assert await auth.credentials(session, "x") == auth.LentCredentials()
    assert await fetch(lending, tokens, "r") == IssuedToken("posted", 99)
    assert (await fetch(lending, tokens, "i")).value == "posted"
    forms = [asked[1] for asked in tokens.asked]
    assert [form["grant_type"] for form in forms] == [["password"], ["refresh_token"]]
    assert forms[0]["scope"] == ["a b"]


async def test_what_is_lent_of_logins_is_told_as_steps(
    lending: Lend, docker_config: Path, tokens: TokenServer
) -> None:
    """A password's host once, each token that is fetched with one, and nothing of the anonymous."""
    write_config(docker_config, {"auths": {"r": basic("u:p")}})
    shown: list[control_pb2.StatusResponse] = []
    log = AuthLog(shown.append)
    async with lending([AuthProvider(log=log)]) as session:
        for host in ("r", "r", "x"):
            await auth.credentials(session, host)
            scopes = [f"repository:{host}/app:pull,push", "repository:base:pull"]
            await auth.fetch_token(
                session, host=host, realm=tokens.realm, service="svc", scopes=scopes
            )
    token = "[auth] r/app:pull,push base:pull token for r"
    steps = [vertex for status in shown for vertex in status.vertexes if vertex.completed.seconds]
    assert [vertex.name for vertex in steps] == ["[auth] sharing credentials for r", token, token]
    assert len({vertex.digest for vertex in steps}) == 3


async def test_anonymous_tokens_and_servers_without_post(
    lending: Lend, docker_config: Path, tokens: TokenServer
) -> None:
    assert await fetch(lending, tokens, "x") == IssuedToken("got", 60, 1_700_000_000)
    write_config(docker_config, {"auths": {"r": basic("u:p")}})
    tokens.mode = "get"
    assert (await fetch(lending, tokens, "r")).value == "got"
    assert [asked[0] for asked in tokens.asked] == ["GET", "POST", "GET"]
    assert tokens.asked[0][1] == {"scope": ["a", "b"], "service": ["svc"]}
    assert tokens.asked[2][2] == f"Basic {basic('u:p')['auth']}"
    tokens.mode = "refuse"
    told = "failed to fetch oauth token: denied: not you - nor today"
    with pytest.raises(errors.CrozeError, match=f"^{told}$") as refused:
        await fetch(lending, tokens, "r")
    tokens.mode = "busy"
    url = f"{tokens.realm}?scope=a&scope=b&service=svc"
    told = f"unexpected status from GET request to {url}: 429 Too Many Requests"
    with pytest.raises(
        errors.CrozeError, match=f"^failed to fetch anonymous token: {told}$".replace("?", r"\?")
    ) as busy:
        await fetch(lending, tokens, "x")
    assert {type(refused.value), type(busy.value)} == {errors.CrozeError}  # of no kind


async def test_tokens_that_no_request_can_have(
    lending: Lend, docker_config: Path, tokens: TokenServer
) -> None:
    """A line's end comes easily with what is copied into the file."""
    auths = {"r": {"registrytoken": "t"}, "s": {"registrytoken": "t\n"}}
    write_config(docker_config, {"auths": auths})
    assert await fetch(lending, tokens, "r") == IssuedToken("t", 60)
    with pytest.raises(errors.CrozeError, match="sent a token that no request can have"):
        await fetch(lending, tokens, "s")


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[TokenServer, Path]]:
    """One that wants to see a certificate, and the folder with its own, which is that, too."""
    made = make_certificate()
    (tmp_path / "cert.pem").write_bytes(made.pem)
    (tmp_path / "key.pem").write_bytes(made.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.load_verify_locations(tmp_path / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = TokenServer(context)
    yield server, tmp_path
    server.close()


async def test_tokens_over_tls(
    lending: Lend, docker_config: Path, secured: tuple[TokenServer, Path]
) -> None:
    server, folder = secured
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    pairs = ((certificate, key),)
    for tls in (TokenTls((certificate,), pairs), TokenTls(pairs=pairs, insecure=True)):
        assert (await fetch(lending, server, "r", tls)).value == "got"
    for little in (None, TokenTls(pairs=pairs)):
        with pytest.raises(errors.CrozeError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(lending, server, "r", little)
    with pytest.raises(errors.CrozeError, match="failed to fetch anonymous token"):
        await fetch(lending, server, "r", TokenTls(insecure=True))


async def test_the_token_authority(
    lending: Lend, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(docker_config, {"auths": {"r": basic("u:p")}})
    async with lending([AuthProvider()]) as session:
        key = await auth.token_authority(session, "r")
        assert key is not None
        assert await auth.token_authority(session, "r") == key
        assert await auth.token_authority(session, "other") != key
        assert await auth.verify_token_authority(session, "r", key)
        assert not await auth.verify_token_authority(session, "other", key)
        monkeypatch.setenv("BUILDKIT_NO_CLIENT_TOKEN", "1")
        assert await auth.token_authority(session, "r") is None


async def test_clients_without_the_service(lending: Lend) -> None:
    async with lending([]) as session:
        assert await auth.credentials(session, "r") == auth.LentCredentials()
        assert await auth.token_authority(session, "r") is None


def test_the_secret_of_a_host_is_kept(tmp_path: Path) -> None:
    first = host_secret("a", tmp_path)
    assert host_secret("a", tmp_path) == first
    assert host_secret("b", tmp_path) != first
    assert (tmp_path / ".token_seed").stat().st_mode & 0o777 == 0o600


def test_signatures_are_those_of_the_rfc() -> None:
    """RFC 8032, section 7.1, tests 2 and 3."""
    for seed, key, message, signature in (
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ):
        data = bytes.fromhex(message)
        assert ed25519.public_key(bytes.fromhex(seed)).hex() == key
        assert ed25519.sign(bytes.fromhex(seed), data).hex() == signature
        assert ed25519.verify(bytes.fromhex(key), data, bytes.fromhex(signature))
        assert not ed25519.verify(bytes.fromhex(key), data + b"x", bytes.fromhex(signature))
