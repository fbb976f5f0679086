"""Registry logins that come in headers: `X-Registry-Auth` and `X-Registry-Config`.

Source: Docker Engine API, "Authentication": URL-safe base64 of JSON.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from aiohttp import web

from croze.api import auth_pb2
from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.http.tokens import IssuedToken
from croze.image.reference import DEFAULT_DOMAIN
from croze.registry.credentials import Login
from croze.rpc.servers import Context
from croze.session.dockerconfig import HUB_HOST, DockerConfig
from croze.session.lent_service import Handler, unary

T = TypeVar("T")

AUTH, CONFIG = "X-Registry-Auth", "X-Registry-Config"


class RegistryLogin(msgspec.Struct, rename="lower"):
    """One login. With an identity token there is no password."""

    username: str = ""
    password: str = ""
    auth: str = ""
    serveraddress: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


def config_of(request: web.Request) -> DockerConfig:
    """The logins by server of `X-Registry-Config`. Raises `InvalidRequest`."""
    text = request.headers.get(CONFIG, "")
    logins = _decoded(text, dict[str, RegistryLogin], CONFIG) if text else {}
    return DockerConfig({"auths": {key: msgspec.to_builtins(each) for key, each in logins.items()}})


def login_of(request: web.Request) -> Login:
    """The login of `X-Registry-Auth`, for the registry that the request is about. As in Docker,
    what can't be read is nobody."""
    text = request.headers.get(AUTH, "")
    try:
        registry_login = _decoded(text, RegistryLogin, AUTH) if text else RegistryLogin()
    except InvalidRequest:
        return Login()
    return login(registry_login)


def login(registry_login: RegistryLogin) -> Login:
    """A login as registries are told it."""
    key = {"auths": {"registry": msgspec.to_builtins(registry_login)}}
    config = DockerConfig(key).auth_for("registry")
    return Login(config.user, config.secret)


def _decoded(text: str, kind: type[T], header: str) -> T:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return gojson.unmarshal(data, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"invalid {header} header: {error}") from error


class OneHost:
    """A login for one registry, and for nobody else: `registry.credentials.Credentials`."""

    def __init__(self, domain: str, login: Login) -> None:
        self._hosts = {domain, HUB_HOST} if domain == DEFAULT_DOMAIN else {domain}
        self._login = login

    async def authority(self, host: str) -> str:
        return ""

    async def login(self, host: str) -> Login:
        return self._login if host in self._hosts else Login()

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> IssuedToken | None:
        return None


class GivenLogins:
    """Logins that a build is lent in its client's place (`moby.filesync.v1.Auth`); the daemon
    fetches tokens itself."""

    service = "moby.filesync.v1.Auth"

    def __init__(self, config: DockerConfig) -> None:
        self._config = config

    def methods(self) -> Mapping[str, Handler]:
        return {"Credentials": unary(self._credentials, auth_pb2.CredentialsRequest)}

    async def _credentials(
        self, request: auth_pb2.CredentialsRequest, context: Context
    ) -> auth_pb2.CredentialsResponse:
        login = self._config.auth_for(request.Host)
        return auth_pb2.CredentialsResponse(Username=login.user, Secret=login.secret)
