"""Clusters that docker contexts name.

Source: docker/buildx `driver/kubernetes/context`: the `kubernetes` endpoint of a context's
`meta.json`, and `ca.pem`, `cert.pem` and `key.pem` in the context's `tls/…/kubernetes/`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from croze.builders.contexts import KubernetesEndpoint
from croze.drivers.kubernetes.config import (
    DEFAULT_NAMESPACE,
    Cluster,
    ExecConfig,
    checked_proxy,
    no_auth_provider,
)
from croze.errors import InvalidRequest
from croze.files.settings import read_settings


class _Login(msgspec.Struct):
    username: str = ""
    password: str = ""


class _Endpoint(msgspec.Struct):
    host: str = msgspec.field(default="", name="Host")
    namespace: str = msgspec.field(default="", name="DefaultNamespace")
    proxy: str = msgspec.field(default="", name="ProxyURL")
    auth_provider: dict[str, object] | None = msgspec.field(default=None, name="AuthProvider")
    exec: ExecConfig | None = msgspec.field(default=None, name="Exec")
    login: _Login | None = msgspec.field(default=None, name="usernamePassword")
    token: str = ""


def cluster_of_context(endpoint: KubernetesEndpoint) -> Cluster:
    """The cluster that a docker context's endpoint names. Raises `InvalidRequest` for one that
    can't be."""
    try:
        settings = msgspec.convert(endpoint.settings, _Endpoint)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidRequest(f"{endpoint.file}: Endpoints.kubernetes: {error}") from None
    if settings.auth_provider is not None:
        raise no_auth_provider(settings.auth_provider)
    if not settings.host:
        raise InvalidRequest(f"{endpoint.file}: Endpoints.kubernetes.Host: no address of a cluster")
    login = settings.login or _Login()
    return Cluster(
        server=settings.host.rstrip("/"),
        namespace=settings.namespace or DEFAULT_NAMESPACE,
        authority=_read(endpoint.tls.ca),
        verify=endpoint.tls.verify,
        proxy=checked_proxy(settings.proxy),
        certificate=_read(endpoint.tls.cert),
        key=_read(endpoint.tls.key),
        token=settings.token,
        login=(login.username, login.password),
        exec=settings.exec,
    )


def _read(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        return read_settings(path)
    except OSError as error:
        raise InvalidRequest(f"unable to read {path}: {error.strerror}") from None
