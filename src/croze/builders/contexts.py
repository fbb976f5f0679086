"""Docker contexts: the engines that the Docker CLI knows, each an implicit builder of its name.

Source: docker/cli `cli/context/store`: `contexts/meta/SHA256(name)/meta.json` below the CLI's
configuration, certificates below `contexts/tls/SHA256(name)/docker/`. `DOCKER_HOST`,
`DOCKER_CONTEXT` and `currentContext` in `config.json` choose, in this order; without them it is
`default`, the engine of the environment.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from croze.errors import InvalidRequest, NotFound, Unavailable, os_message
from croze.files.settings import parse_settings, read_settings
from croze.http import keypairs
from croze.http.urls import parse_url

if TYPE_CHECKING:
    import ssl

DEFAULT = "default"
DEFAULT_HOST = "unix:///var/run/docker.sock"


class TlsFiles(Struct, frozen=True):
    """How to speak TLS with an engine, by files in PEM form; `verify` off takes any server
    certificate."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True


class KubernetesEndpoint(Struct, frozen=True):
    """The cluster that a context names, as older Docker CLIs wrote it down."""

    file: Path
    settings: Mapping[str, object]
    tls: TlsFiles


class DockerContext(Struct, frozen=True):
    """An engine by name. `host` is an address as `DOCKER_HOST` has it; empty if the context names
    a cluster alone."""

    name: str
    host: str
    tls: TlsFiles | None = None
    kubernetes: KubernetesEndpoint | None = None

    def command(self) -> list[str] | None:
        """What carries a connection to an engine on another machine, on its standard streams; None
        for an engine that is dialled directly."""
        url = parse_url(self.host)
        if url.scheme != "ssh":
            return None
        user = ["-l", url.username] if url.username else []
        port = ["-p", str(url.port)] if url.port else []
        host = ["--", url.hostname or "", "docker", "system", "dial-stdio"]
        return ["ssh", *user, *port, *host]

    def secured(self) -> ssl.SSLContext | None:
        """TLS for the connection; None for an engine that is spoken to in the clear. Raises
        `InvalidRequest`."""
        if self.tls is None:
            return None
        import ssl  # slow to import, and needed by few

        try:
            context = ssl.create_default_context(cafile=self.tls.ca)
            if self.tls.cert is not None:
                keypairs.show(context, self.tls.cert, self.tls.key)
        except OSError as error:
            raise InvalidRequest(
                f"could not read the docker context's certificates: {os_message(error)}"
            ) from None
        if not self.tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def unreachable(self, why: str) -> Unavailable:
        """The error for an engine that can't be dialled, in Docker's words; with the reason unless
        it is that nobody listens there."""
        nobody = (os.strerror(number).lower() for number in (errno.ENOENT, errno.ECONNREFUSED))
        plain = any(text in why.lower() for text in nobody)
        return Unavailable(
            f"Cannot connect to the Docker daemon at {self.host}. "
            f"Is the docker daemon running?{'' if plain else f' ({why})'}"
        )


class Contexts:
    """The contexts of one CLI configuration. `chosen` and `host` are the `--context` and `--host`
    flags of the Docker CLI, which come before the environment."""

    def __init__(self, config_dir: Path, *, chosen: str = "", host: str = "") -> None:
        self._directory = config_dir
        self._chosen = chosen
        self._host = host

    @property
    def current(self) -> str:
        """The name of the context in force. A host that is given overrides any context."""
        if self._chosen:
            return self._chosen
        if self._host or os.environ.get("DOCKER_HOST"):
            return DEFAULT
        return os.environ.get("DOCKER_CONTEXT") or self._configured() or DEFAULT

    @property
    def current_endpoint(self) -> str:
        """What buildx keys the chosen builder by: the host for `default`, else the name."""
        name = self.current
        return self._default().host if name == DEFAULT else name

    def names(self) -> list[str]:
        """All contexts, `default` first, the others by name."""
        names = (self._read(path).name for path in self._meta_files())
        return [DEFAULT, *sorted(name for name in names if name != DEFAULT)]

    def find(self, name: str) -> DockerContext | None:
        """The context of that name; None if there is none. Raises `InvalidRequest` for a file that
        can't be read."""
        if name == DEFAULT:
            return self._default()
        path = self._meta / _hashed(name) / "meta.json"
        return self._read(path) if path.is_file() else None

    def get(self, name: str) -> DockerContext:
        """The context of that name. Raises `NotFound`."""
        context = self.find(name)
        if context is None:
            raise NotFound(
                f'context "{name}": context not found: open {self._meta / _hashed(name)}'
                "/meta.json: no such file or directory"
            )
        return context

    def engine(self, name: str) -> DockerContext:
        """The context of an engine. Raises `NotFound`."""
        context = self.get(name)
        if not context.host:
            raise NotFound("cannot find docker endpoint in context")
        return context

    @property
    def _meta(self) -> Path:
        return self._directory / "contexts" / "meta"

    def _meta_files(self) -> list[Path]:
        return sorted(self._meta.glob("*/meta.json"))

    def _configured(self) -> str:
        path = self._directory / "config.json"
        try:
            return _text(_object(path, read_settings(path)), "currentContext")
        except FileNotFoundError:
            return ""

    def _default(self) -> DockerContext:
        host = self._host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
        if not (verify or os.environ.get("DOCKER_TLS")):
            return DockerContext(DEFAULT, host)
        folder = Path(os.environ.get("DOCKER_CERT_PATH") or self._directory)
        return DockerContext(DEFAULT, host, _certificates(folder, verify=verify))

    def _read(self, path: Path) -> DockerContext:
        meta = _object(path, read_settings(path))
        name = _text(meta, "Name")
        endpoints = meta.get("Endpoints")
        listed = endpoints if isinstance(endpoints, dict) else {}
        engine, cluster = listed.get("docker"), listed.get("kubernetes")
        if not isinstance(engine, dict) and not isinstance(cluster, dict):
            raise InvalidRequest(f"{path}: Endpoints: context {name!r} has no docker endpoint")
        tls = self._directory / "contexts" / "tls" / _hashed(name)
        context = DockerContext(name, "")
        if isinstance(engine, dict):
            verify = engine.get("SkipTLSVerify") is not True
            context = DockerContext(
                name,
                _text(engine, "Host") or DEFAULT_HOST,
                _certificates(tls / "docker", verify=verify) if (tls / "docker").is_dir() else None,
            )
        if not isinstance(cluster, dict):
            return context
        verify = cluster.get("SkipTLSVerify") is not True
        certificates = _certificates(tls / "kubernetes", verify=verify)
        return replace(context, kubernetes=KubernetesEndpoint(path, cluster, certificates))


def _certificates(folder: Path, *, verify: bool) -> TlsFiles:
    def there(name: str) -> Path | None:
        path = folder / name
        return path if path.is_file() else None

    return TlsFiles(there("ca.pem"), there("cert.pem"), there("key.pem"), verify)


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _object(path: Path, data: bytes) -> dict[str, object]:
    try:
        value = parse_settings(data)
    except ValueError as error:
        raise InvalidRequest(f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path}: line 1: an object was expected")
    return value


def _text(value: dict[str, object], key: str) -> str:
    text = value.get(key)
    return text if isinstance(text, str) else ""
