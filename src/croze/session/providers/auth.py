"""Lend registry credentials from the Docker CLI's configuration, and fetch tokens with them.

Source: BuildKit `session/auth/authprovider`. With tokens fetched here the password itself need not
reach the daemon. `BUILDKIT_NO_CLIENT_TOKEN` turns that off.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from croze import errors
from croze.aio.threads import abandonable, in_thread
from croze.api import auth_pb2
from croze.files.atomic import write_atomically
from croze.files.docker_config import config_dir
from croze.files.locks import locked
from croze.files.redact import redact
from croze.files.settings import parse_settings, read_settings
from croze.http.authorization import basic
from croze.http.client import Answer, fetch
from croze.http.refusals import in_detail
from croze.http.tokens import (
    LIFETIME_S,
    IssuedToken,
    may_know_other,
    read_token,
    token_form,
    token_url,
)
from croze.rpc.servers import Context
from croze.session import ed25519
from croze.session.dockerconfig import AuthConfig, DockerConfig
from croze.session.lent_service import Handler, unary
from croze.session.logins import Logins
from croze.session.token_tls import TokenTls

ANSWER_BYTES = 1 << 20


class LendingLog(Protocol):
    """Is told what a daemon gets of the user's logins."""

    def shares(self, host: str) -> None:
        """The password for a registry."""

    def fetches(self, scopes: Sequence[str], host: str) -> None:
        """A token that is asked for with the password, for such as `repository:app:pull`."""


class AuthProvider:
    service = "moby.filesync.v1.Auth"

    def __init__(
        self,
        config: DockerConfig | None = None,
        tls: Mapping[str, TokenTls] | None = None,
        log: LendingLog | None = None,
    ) -> None:
        """`tls`: by the registry's host. `log` is told what is given away."""
        self._logins = Logins(config)
        self._tls = dict(tls or {})
        self._log = log

    def methods(self) -> Mapping[str, Handler]:
        return {
            "Credentials": unary(self._credentials, auth_pb2.CredentialsRequest),
            "FetchToken": unary(self._fetch_token, auth_pb2.FetchTokenRequest),
            "GetTokenAuthority": unary(self._authority, auth_pb2.GetTokenAuthorityRequest),
            "VerifyTokenAuthority": unary(self._verify, auth_pb2.VerifyTokenAuthorityRequest),
        }

    async def _credentials(
        self, request: auth_pb2.CredentialsRequest, context: Context
    ) -> auth_pb2.CredentialsResponse:
        auth = await self._logins.auth_for(request.Host)
        if auth.secret and self._log is not None:
            self._log.shares(request.Host)
        return auth_pb2.CredentialsResponse(Username=auth.user, Secret=auth.secret)

    async def _fetch_token(
        self, request: auth_pb2.FetchTokenRequest, context: Context
    ) -> auth_pb2.FetchTokenResponse:
        auth = await self._logins.auth_for(request.Host)
        if auth.registry_token:
            return auth_pb2.FetchTokenResponse(Token=auth.registry_token, ExpiresIn=LIFETIME_S)
        if auth.secret and self._log is not None:
            self._log.fetches(request.Scopes, request.Host)
        prefix = "failed to fetch oauth token" if auth.secret else "failed to fetch anonymous token"
        token_request = TokenRequest(request.Realm, request.Service, tuple(request.Scopes))
        try:
            token = await abandonable(fetch_token, token_request, auth, self._tls.get(request.Host))
        except errors.CrozeError as error:  # of no kind: it is not the client that is out of reach
            raise errors.CrozeError(f"{prefix}: {error}") from None
        return auth_pb2.FetchTokenResponse(
            Token=token.value, ExpiresIn=token.expires_in_s, IssuedAt=token.issued_at
        )

    async def _authority(
        self, request: auth_pb2.GetTokenAuthorityRequest, context: Context
    ) -> auth_pb2.GetTokenAuthorityResponse:
        seed = await self._seed(request.Host, request.Salt)
        key = await in_thread(ed25519.public_key, seed)
        return auth_pb2.GetTokenAuthorityResponse(PublicKey=key)

    async def _verify(
        self, request: auth_pb2.VerifyTokenAuthorityRequest, context: Context
    ) -> auth_pb2.VerifyTokenAuthorityResponse:
        seed = await self._seed(request.Host, request.Salt)
        signature = await in_thread(ed25519.sign, seed, request.Payload)
        return auth_pb2.VerifyTokenAuthorityResponse(Signed=signature + request.Payload)

    async def _seed(self, host: str, salt: bytes) -> bytes:
        """A key that stands for this user's credentials of a host, at one daemon."""
        if os.environ.get("BUILDKIT_NO_CLIENT_TOKEN", "").lower() in ("1", "t", "true"):
            raise errors.Unavailable("client side tokens disabled")
        auth = await self._logins.auth_for(host)
        secret = await abandonable(host_secret, host) if auth.secret else b""
        return hmac.new(salt, secret, hashlib.sha256).digest()


def host_secret(host: str, folder: Path | None = None) -> bytes:
    """Random bytes kept for a host in `.token_seed`, beside the Docker configuration."""
    path = (folder or config_dir()) / ".token_seed"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(str(path.with_name(".token_seed.lock"))):
            return _host_secret(host, path)
    except OSError:
        return os.urandom(16)


def _host_secret(host: str, path: Path) -> bytes:
    seeds: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        loaded = parse_settings(read_settings(path))
        seeds = loaded if isinstance(loaded, dict) else {}
        entry = seeds.get(host)
        if isinstance(entry, dict) and isinstance(entry.get("Seed"), str):
            return base64.b64decode(entry["Seed"], validate=True)
    seed = os.urandom(16)
    seeds[host] = {"Seed": base64.b64encode(seed).decode()}
    write_atomically(path, json.dumps(seeds, indent=2).encode(), 0o600)
    return seed


# -- token servers (distribution's token authentication, OAuth 2) ----------------------------


class TokenRequest(Struct, frozen=True):
    """What a registry's challenge asks a token for (distribution's "Token Authentication")."""

    realm: str
    service: str
    scopes: tuple[str, ...]


class _Refused(errors.CrozeError):
    """A token server answered with a status that is no success."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def fetch_token(
    request: TokenRequest, auth: AuthConfig, tls: TokenTls | None = None
) -> IssuedToken:
    """Fetch a token: with a secret by POST, or by GET where a server knows no POST; without one by
    GET."""
    context = None if tls is None else tls.context()
    if not auth.secret:
        return _get(request, auth, context)
    try:
        return _post(request, auth, context)
    except _Refused as refused:
        if not may_know_other(refused.status, auth.user):
            raise
    return _get(request, auth, context)


def _post(request: TokenRequest, auth: AuthConfig, tls: ssl.SSLContext | None) -> IssuedToken:
    form = token_form(request.service, request.scopes, auth.user, auth.secret)
    answer = fetch(request.realm, form=form, limit_bytes=ANSWER_BYTES, tls=tls)
    _check(answer, "POST", request.realm, has_login=True)
    return read_token(answer.body, posted=True)


def _get(request: TokenRequest, auth: AuthConfig, tls: ssl.SSLContext | None) -> IssuedToken:
    url = token_url(request.realm, request.service, request.scopes)
    headers = basic(auth.user, auth.secret) if auth.secret else {}
    answer = fetch(url, headers=headers, limit_bytes=ANSWER_BYTES, tls=tls)
    _check(answer, "GET", url, has_login=bool(auth.secret))
    return read_token(answer.body, posted=False)


def _check(answer: Answer, method: str, url: str, *, has_login: bool) -> None:
    """Who has given a login is told what the server says (BuildKit `util/errutil`)."""
    if 200 <= answer.status < 400:
        return
    status = f"{answer.status} {answer.reason}".rstrip()
    text = f"unexpected status from {method} request to {redact(url)}: {status}"
    raise _Refused(in_detail(text, answer.body) if has_login else text, answer.status)
