"""Registries to test against: Debian's real one, and a token server in front of it."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from croze.registry.transport import Retry
from tests.support.waiting import PATIENCE_S, free_port

FAST = Retry(first_s=0.001, limit_s=0.008)
HTPASSWD = "user:$2b$04$Q4BVT3c8GlXdssV/wXctmuMiDaKL65.ZrVU4IUWUCeYzBSjq5Jcjy\n"
"""Logs in `user` with `secret`."""


@contextlib.contextmanager
def docker_registry(folder: Path, auth: str = "") -> Iterator[str]:
    """A running `docker-registry`; yields `127.0.0.1:port`. `auth` is YAML."""
    binary = shutil.which("docker-registry")
    assert binary, "docker-registry is not installed"
    port = free_port()
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: info}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{auth}\n"
    )
    process = subprocess.Popen(
        [binary, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        seen = ""
        for line in process.stderr:
            seen += line
            if "listening on" in line:
                break
        else:
            raise AssertionError(f"docker-registry did not start:\n{seen}")
        with contextlib.ExitStack() as stack:
            stack.callback(process.stderr.close)
            yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        process.stderr.close()


@dataclass
class TokenServer:
    """Gives `user:secret` all it asks for, and others only the right to pull. Knows what it was
    asked."""

    folder: Path
    realm: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(method, scopes)"""
    refuse_get: bool = False

    def registry_auth(self) -> str:
        """For `docker_registry`."""
        return (
            f"auth: {{token: {{realm: '{self.realm}', service: test, issuer: issuer, "
            f"rootcertbundle: '{self.folder}/cert.pem'}}}}"
        )

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            form = await request.post()
            scopes = str(form.get("scope", "")).split()
            is_known = (form.get("username"), form.get("password")) == ("user", "secret")
        else:
            scopes = request.query.getall("scope", [])
            login = base64.b64encode(b"user:secret").decode()
            is_known = request.headers.get("Authorization") == f"Basic {login}"
        self.asked.append((request.method, " ".join(scopes)))
        if self.refuse_get and request.method == "GET":
            return web.Response(status=404)
        access = [self._grant(scope, is_known) for scope in scopes]
        name = "access_token" if request.method == "POST" else "token"
        return web.json_response({name: self._sign(access), "expires_in": 300})

    def _grant(self, scope: str, is_known: bool) -> dict[str, object]:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        granted = [a for a in actions.split(",") if is_known or a == "pull"]
        return {"type": kind, "name": name, "actions": granted}

    def _sign(self, access: list[dict[str, object]]) -> str:
        now = int(time.time())
        claims = {
            "iss": "issuer",
            "sub": "user",
            "aud": "test",
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now - 10,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        der = subprocess.run(
            ["openssl", "x509", "-in", self.folder / "cert.pem", "-outform", "DER"],
            check=True,
            capture_output=True,
        ).stdout
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        text = f"{_part(header)}.{_part(claims)}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.folder / "key.pem"],
            input=text.encode(),
            check=True,
            capture_output=True,
        ).stdout
        return f"{text}.{_encode(signature)}"


def _part(value: object) -> str:
    return _encode(json.dumps(value).encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def make_certificate(folder: Path) -> None:
    """`key.pem` and a self-signed `cert.pem` for 127.0.0.1."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )


@contextlib.asynccontextmanager
async def serve(app: web.Application, ssl_dir: Path | None = None) -> AsyncIterator[str]:
    """Run an app on loopback; yields `127.0.0.1:port`."""
    import ssl

    context = None
    if ssl_dir is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ssl_dir / "cert.pem", ssl_dir / "key.pem")
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        assert runner.addresses
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def token_server(folder: Path) -> AsyncIterator[TokenServer]:
    make_certificate(folder)
    server = TokenServer(folder)
    app = web.Application()
    app.router.add_route("*", "/token", server.handle)
    async with serve(app) as address:
        server.realm = f"http://{address}/token"
        yield server
