"""Lend secrets: values of files and of environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from croze import errors
from croze.aio.threads import abandonable
from croze.api import secrets_pb2
from croze.rpc.servers import Context
from croze.session.lent_service import Handler, unary

MAX_SECRET_BYTES = 500 * 1024


class SecretSource(Struct, frozen=True):
    """One secret: from a file, an environment variable, or `value` itself. With none of them it
    is the environment variable of its name, else the file of its name."""

    id: str
    path: str = ""
    env: str = ""
    value: bytes | None = None


class SecretsProvider:
    """Answers `GetSecret`. Files are checked when it is made and read when they are asked for."""

    service = "moby.buildkit.secrets.v1.Secrets"

    def __init__(self, sources: Sequence[SecretSource]) -> None:
        self._sources = {source.id: _checked(source) for source in sources}

    def methods(self) -> Mapping[str, Handler]:
        return {"GetSecret": unary(self._get, secrets_pb2.GetSecretRequest)}

    async def _get(
        self, request: secrets_pb2.GetSecretRequest, context: Context
    ) -> secrets_pb2.GetSecretResponse:
        source = self._sources.get(request.ID)
        if source is None:
            raise errors.NotFound("not found")
        data = await abandonable(_value, source)
        if len(data) > MAX_SECRET_BYTES:
            raise errors.CrozeError(f"invalid secret size {len(data)}")
        return secrets_pb2.GetSecretResponse(data=data)


def _checked(source: SecretSource) -> SecretSource:
    if not source.id:
        raise errors.InvalidRequest("secret missing ID")
    if source.value is not None:
        return source
    if not source.path and not source.env:
        in_env = source.id in os.environ
        source = SecretSource(
            source.id, env=source.id if in_env else "", path="" if in_env else source.id
        )
    if source.path:
        _check_file(source)
    return source


def _check_file(source: SecretSource) -> None:
    try:
        size = os.stat(source.path).st_size
    except OSError as error:
        cause = f"stat {source.path}: {errors.os_reason(error)}"
        raise errors.InvalidRequest(f"failed to stat {source.path}: {cause}") from None
    if size > MAX_SECRET_BYTES:
        raise errors.InvalidRequest(f"secret {source.id} too big. max size 500KiB")


def _value(source: SecretSource) -> bytes:
    if source.value is not None:
        return source.value
    if source.env:
        return os.environ.get(source.env, "").encode(errors="surrogateescape")
    try:
        return Path(source.path).read_bytes()
    except OSError as error:
        # A directory can be opened, in Go; what fails is reading it.
        call = "read" if isinstance(error, IsADirectoryError) else "open"
        raise errors.CrozeError(f"{call} {source.path}: {errors.os_reason(error)}") from None
