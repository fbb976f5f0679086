"""Secrets, as the daemon asks a session for them (`moby.buildkit.secrets.v1`)."""

from __future__ import annotations

from croze import errors
from croze.api import secrets_pb2
from croze.session.contract import Session


async def get_secret(session: Session, id: str) -> bytes:
    """The value of a secret. Raises `errors.NotFound` when this session does not have it, or
    lends no secrets at all."""
    try:
        return await _ask(session, id)
    except (errors.NotFound, errors.Unsupported):
        raise errors.NotFound(f"secret {id}: not found") from None


async def _ask(session: Session, id: str) -> bytes:
    answer = await session.calls.ask(
        "/moby.buildkit.secrets.v1.Secrets/GetSecret",
        secrets_pb2.GetSecretRequest(ID=id),
        secrets_pb2.GetSecretResponse,
    )
    return answer.data
