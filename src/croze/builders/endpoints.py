"""Where a node's engine or daemon is, as `create` takes it.

Source: docker/cli `opts/hosts.go`; docker/buildx `builder/builder.go`, `driver/kubernetes/util`.
"""

from __future__ import annotations

import os
import secrets
import uuid
from urllib.parse import quote, urlencode

from croze.builders.contexts import DEFAULT, Contexts
from croze.builders.model import BuilderInstance
from croze.errors import InvalidRequest, NotFound
from croze.http.urls import parse_url

LONGEST_NODE_NAME = 63
"""Kubernetes names a label's value with it."""
_SUFFIX_LENGTH = 5
_DEFAULTS = {"unix": "/var/run/docker.sock", "npipe": "//./pipe/docker_engine"}


def engine_endpoint(name: str, contexts: Contexts) -> str:
    """The endpoint that a name or address stands for: a docker context's name as it is, an address
    in full. Raises `InvalidRequest`."""
    try:
        context = contexts.get(name)
    except NotFound:
        return _host(name)
    return context.host if name == DEFAULT else name


def default_engine_endpoint(contexts: Contexts) -> str:
    """The endpoint of the engine in force. Raises `InvalidRequest` where the builder could not name
    it later."""
    current = contexts.get(contexts.current)
    if current.name == DEFAULT and current.tls is not None:
        raise InvalidRequest(
            "could not create a builder instance with TLS data loaded from environment. Please "
            "use `docker context create <context-name>` to create a context for current "
            "environment and then create a builder instance with context set to <context-name>"
        )
    return contexts.current_endpoint


def _host(text: str) -> str:
    """An engine's address with all its parts."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "tcp", scheme
    if scheme in ("fd", "ssh"):
        return text.strip()
    if scheme in _DEFAULTS:
        if "://" in rest:
            raise _bad(text, f"invalid proto, expected {scheme}: {rest}")
        return f"{scheme}://{rest or _DEFAULTS[scheme]}"
    if scheme == "tcp":
        return _tcp(text, rest)
    raise _bad(text, f"invalid bind address format: {text}")


def _tcp(text: str, rest: str) -> str:
    if "://" in rest:
        raise _bad(text, f"invalid proto, expected tcp: {rest}")
    try:
        url = parse_url(f"tcp://{rest}")
    except InvalidRequest:
        raise _bad(text, f"invalid bind address format: {rest}") from None
    host = url.hostname or "localhost"
    return f"tcp://{f'[{host}]' if ':' in host else host}:{url.port or 2375}{url.path}"


def _bad(text: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"failed to parse endpoint {text}: {why}")


def kubernetes_endpoint(builder: str, node: str, stored: BuilderInstance | None) -> str:
    """An endpoint for a new node, different for every one, as a builder's endpoints must be."""
    deployment = node or _deployment_name(stored)
    query = {"deployment": deployment, "kubeconfig": os.environ.get("KUBECONFIG", "")}
    return f"kubernetes:///{quote(builder)}?{urlencode(query)}"


def _deployment_name(stored: BuilderInstance | None) -> str:
    while True:
        base = f"buildkit-{uuid.uuid4()}-"[: LONGEST_NODE_NAME - _SUFFIX_LENGTH]
        name = base + secrets.token_hex(_SUFFIX_LENGTH)[:_SUFFIX_LENGTH]
        if stored is None or stored.node(name) is None:
            return name
