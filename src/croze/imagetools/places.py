"""The places of one command: its connections, logins and registries' settings."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

import msgspec

from croze.errors import InvalidRequest
from croze.fs.temporary import temporary_directory
from croze.http.tokens import IssuedToken
from croze.imagetools.contract import Place
from croze.imagetools.layout_place import LayoutPlace
from croze.imagetools.location import LayoutLocation, Location
from croze.imagetools.registry_place import RegistryPlace
from croze.registry.client import Registry
from croze.registry.credentials import Login
from croze.registry.hosts import INSECURE, RegistryConfig
from croze.session.logins import Logins

CONFIG_FILE = "buildkitd.toml"
_DAEMONS_FOLDER = "/etc/buildkit/"


class Places:
    """The places of one command, and their connections. Made inside the event loop. `folder` is for
    blobs on their way."""

    def __init__(self, configs: Mapping[str, RegistryConfig], folder: Path) -> None:
        self.folder = folder
        self._registry = Registry(configs)
        self._credentials = DockerLogins()

    def at(self, location: Location) -> Place:
        if isinstance(location, LayoutLocation):
            return LayoutPlace(location)
        return RegistryPlace(location, self._registry, self._credentials)

    async def close(self) -> None:
        await self._registry.close()


@asynccontextmanager
async def opened(
    builder_files: Mapping[str, bytes], insecure: Sequence[str] = ()
) -> AsyncIterator[Places]:
    """Places that are closed at the end. `builder_files` are what the builder's daemon was
    configured with; `insecure` are hosts that need not prove who they are."""
    with temporary_directory("imagetools") as name:
        folder = Path(name)
        blobs = folder / "blobs"
        blobs.mkdir()
        configs = registries(builder_files, folder / "config")
        places = Places(configs | dict.fromkeys(insecure, INSECURE), blobs)
        try:
            yield places
        finally:
            await places.close()


class DockerLogins:
    """Logins out of the Docker CLI's configuration: `registry.credentials.Credentials`. A token
    that the configuration holds for a registry is used as it is."""

    def __init__(self) -> None:
        self._logins = Logins()

    async def authority(self, host: str) -> str:
        return (await self._logins.auth_for(host)).registry_token

    async def login(self, host: str) -> Login:
        login = await self._logins.auth_for(host)
        return Login(login.user, login.secret)

    async def token(
        self, host: str, realm: str, service: str, scopes: Sequence[str]
    ) -> IssuedToken | None:
        token = (await self._logins.auth_for(host)).registry_token
        return IssuedToken(token) if token else None


class _KeyPair(msgspec.Struct):
    key: str = ""
    cert: str = ""


class _Registry(msgspec.Struct):
    mirrors: tuple[str, ...] = ()
    http: bool | None = None
    insecure: bool | None = None
    ca: tuple[str, ...] = ()
    keypair: tuple[_KeyPair, ...] = ()


class _Config(msgspec.Struct):
    registry: dict[str, _Registry] = {}


def registries(files: Mapping[str, bytes], folder: Path) -> dict[str, RegistryConfig]:
    """The settings of registries that a builder's daemon was given, which hold here too.
    Certificates that are kept with the builder are written to `folder`. Raises `InvalidRequest`."""
    try:
        text = files.get(CONFIG_FILE, b"").decode()
        config = msgspec.convert(tomllib.loads(text), _Config)
    except (ValueError, msgspec.ValidationError, RecursionError) as error:  # or TOML's, or UTF-8's
        raise InvalidRequest(f"failed to parse {CONFIG_FILE} of the builder: {error}") from None
    paths = {name: _written(name, data, folder) for name, data in files.items()}
    return {host: _of(registry, paths) for host, registry in config.registry.items()}


def _of(registry: _Registry, paths: Mapping[str, Path]) -> RegistryConfig:
    def path(name: str) -> str:
        return str(paths.get(name.removeprefix(_DAEMONS_FOLDER), ""))

    pairs = [(path(one.key), path(one.cert)) for one in registry.keypair]
    return RegistryConfig(
        mirrors=registry.mirrors,
        http=registry.http,
        insecure=registry.insecure,
        ca=tuple(filter(None, map(path, registry.ca))),
        keypairs=tuple(pair for pair in pairs if all(pair)),
    )


def _written(name: str, data: bytes, folder: Path) -> Path:
    """Write a file into the folder; its path. Raises `InvalidRequest` for a name that leads out of
    the folder."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        raise InvalidRequest(f"invalid file name {name} of the builder")
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
