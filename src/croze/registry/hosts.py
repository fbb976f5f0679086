"""Where a registry host is really asked: scheme, TLS, mirrors.

Source: BuildKit `docs/buildkitd.toml.md` (`[registry."host"]`) and `util/resolver`.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import posixpath
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import replace

from croze.errors import InvalidRequest, os_message
from croze.http.keypairs import show


class RegistryConfig(Struct, frozen=True):
    """A section `[registry."host"]` of the configuration. None where nothing was said. Paths are
    PEM files."""

    mirrors: tuple[str, ...] = ()
    http: bool | None = None
    insecure: bool | None = None
    ca: tuple[str, ...] = ()
    keypairs: tuple[tuple[str, str], ...] = ()
    """(key, certificate)"""
    tls_config_dirs: tuple[str, ...] = ()


INSECURE = RegistryConfig(http=True, insecure=True)
"""What `registry.insecure=true` means: no verification, plain HTTP where TLS fails."""


class Endpoint(Struct, frozen=True):
    """One place that answers for a registry host."""

    scheme: str
    host: str
    path: str = "/v2"
    config: RegistryConfig = RegistryConfig()
    namespace: str = ""
    """For a mirror: the host that it mirrors."""
    plain_fallback: bool = False
    """Try plain HTTP when TLS can't be spoken."""

    def url(self, path: str) -> str:
        """The URL of `path` below `/v2`, e.g. `library/busybox/manifests/latest`."""
        query = "?" + urlencode({"ns": self.namespace}) if self.namespace else ""
        return f"{self.scheme}://{self.host}{self.path}/{path}{query}"

    def plain(self) -> Endpoint:
        """The endpoint without TLS."""
        return replace(self, scheme="http", plain_fallback=False)

    @property
    def ssl(self) -> ssl.SSLContext | bool:
        """What aiohttp takes as `ssl`: it trusts the system's authorities, and those that are
        configured for this registry."""
        return _context(self.config) if self.scheme == "https" else True


def is_localhost(host: str) -> bool:
    """Whether a host (with or without port) is this machine: spoken to in plain HTTP."""
    name = _without_port(host)
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def endpoints(
    host: str, configs: Mapping[str, RegistryConfig], *, insecure: bool = False, push: bool = False
) -> list[Endpoint]:
    """Where to ask, in the order to try. Mirrors are only read from."""
    config = INSECURE if insecure else configs.get(host, RegistryConfig())
    mirrors = () if push or insecure else config.mirrors
    listed = [_mirror(text, host, configs) for text in mirrors]
    real = "registry-1.docker.io" if host == "docker.io" else host
    return [*listed, _endpoint(real, config)]


def _mirror(text: str, host: str, configs: Mapping[str, RegistryConfig]) -> Endpoint:
    """`host[/path]`, of which many people make a URL, but whose scheme is the configuration's to
    say; a path goes between `/v2` and the repository."""
    where, _, path = text.rpartition("://")[2].partition("/")
    endpoint = _endpoint(where, configs.get(where, RegistryConfig()))
    return replace(endpoint, path=posixpath.normpath(f"/v2/{path}"), namespace=host)


def _endpoint(host: str, config: RegistryConfig) -> Endpoint:
    plain = config.http if config.http is not None else is_localhost(host)
    if config.insecure:
        return Endpoint("https", host, config=config, plain_fallback=plain)
    return Endpoint("http" if plain else "https", host, config=config)


@functools.lru_cache(maxsize=64)
def _context(config: RegistryConfig) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authorities, keypairs = _with_directories(config)
    try:
        for path in authorities:
            context.load_verify_locations(cafile=path)
        for key, certificate in keypairs:
            show(context, certificate, key)
    except OSError as err:
        raise InvalidRequest(f"failed to load registry TLS files: {os_message(err)}") from err
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _with_directories(config: RegistryConfig) -> tuple[list[str], list[tuple[str, str]]]:
    """Adds `*.crt`, and `*.cert` with its `*.key`, of the directories."""
    authorities, keypairs = list(config.ca), list(config.keypairs)
    for directory in config.tls_config_dirs:
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        for path in (Path(directory, name) for name in names):
            if path.suffix == ".crt":
                authorities.append(str(path))
            elif path.suffix == ".cert":
                keypairs.append((str(path.with_suffix(".key")), str(path)))
    return authorities, keypairs
