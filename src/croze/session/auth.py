"""Registry credentials, as the daemon asks a session for them (`moby.filesync.v1.Auth`).

A client that shares no password can still fetch tokens itself (`fetch_token`); it proves that it
holds the credentials of a host by signing with a key derived from them (`token_authority`).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from msgspec import Struct

from croze import errors
from croze.api import auth_pb2
from croze.http.tokens import CLIENT_ID, IssuedToken, sendable
from croze.session import ed25519
from croze.session.contract import Session

TIMEOUT_S = 60.0

_SERVICE = "/moby.filesync.v1.Auth"

_SALT = secrets.token_bytes(32)
"""Fresh for each daemon, so that a client's keys do not outlive it."""


class LentCredentials(Struct, frozen=True):
    """A user's name and secret for a registry, as a client lends them. If both are empty the
    registry is asked anonymously; without a user name `secret` is an identity token."""

    username: str = ""
    secret: str = ""


async def credentials(session: Session, host: str) -> LentCredentials:
    """What the client knows for a registry host; anonymous if it has no such service."""
    try:
        answer = await session.calls.ask(
            f"{_SERVICE}/Credentials",
            auth_pb2.CredentialsRequest(Host=host),
            auth_pb2.CredentialsResponse,
            timeout_s=TIMEOUT_S,
        )
    except errors.Unsupported:
        return LentCredentials()
    return LentCredentials(answer.Username, answer.Secret)


async def fetch_token(
    session: Session,
    *,
    host: str,
    realm: str,
    service: str,
    scopes: Sequence[str],
) -> IssuedToken:
    """Let the client fetch a token from the registry's token server."""
    request = auth_pb2.FetchTokenRequest(
        ClientID=CLIENT_ID, Host=host, Realm=realm, Service=service, Scopes=scopes
    )
    answer = await session.calls.ask(
        f"{_SERVICE}/FetchToken", request, auth_pb2.FetchTokenResponse, timeout_s=TIMEOUT_S
    )
    return IssuedToken(sendable(answer.Token), answer.ExpiresIn, answer.IssuedAt)


async def token_authority(session: Session, host: str) -> bytes | None:
    """The public key that stands for the client's credentials of a host; None if the client does
    not fetch tokens."""
    request = auth_pb2.GetTokenAuthorityRequest(Host=host, Salt=_SALT)
    try:
        answer = await session.calls.ask(
            f"{_SERVICE}/GetTokenAuthority",
            request,
            auth_pb2.GetTokenAuthorityResponse,
            timeout_s=TIMEOUT_S,
        )
    except (errors.Unsupported, errors.Unavailable):
        return None
    if len(answer.PublicKey) != 32:
        raise errors.CrozeError(f"invalid pubkey length {len(answer.PublicKey)}")
    return answer.PublicKey


async def verify_token_authority(session: Session, host: str, public_key: bytes) -> bool:
    """Whether this session holds the credentials that `public_key` stands for."""
    payload = secrets.token_bytes(32)
    request = auth_pb2.VerifyTokenAuthorityRequest(Host=host, Salt=_SALT, Payload=payload)
    try:
        answer = await session.calls.ask(
            f"{_SERVICE}/VerifyTokenAuthority",
            request,
            auth_pb2.VerifyTokenAuthorityResponse,
            timeout_s=TIMEOUT_S,
        )
    except errors.Unsupported:
        return False
    signature, signed = answer.Signed[:64], answer.Signed[64:]
    return signed == payload and ed25519.verify(public_key, signed, signature)
