"""The token of GitHub's Actions cache: a JWT whose claim `ac` says which scopes may be read and
written. Only the service can verify it; here it is read."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import time
from datetime import UTC, datetime

import msgspec

from croze.errors import InvalidRequest, PermissionDenied
from croze.gotypes import gojson

READ, WRITE = 1, 2


class CacheScope(msgspec.Struct, frozen=True, rename="pascal"):
    """A branch, as a rule (`refs/heads/main`). The fallbacks of a branch have scopes of their own,
    which may be read."""

    scope: str = ""
    permission: int = 0


class _Claims(msgspec.Struct, frozen=True):
    ac: object = None
    exp: object = None
    nbf: object = None


@dataclasses.dataclass(frozen=True)
class ActionsToken:
    text: str = dataclasses.field(repr=False)
    scopes: tuple[CacheScope, ...]
    expires_s: float
    """Since 1970."""

    @property
    def written_scope(self) -> str:
        """The last that may be written."""
        scopes = [s.scope for s in self.scopes if s.permission & WRITE]
        return scopes[-1] if scopes else ""


def parse(text: str, now_s: float | None = None) -> ActionsToken:
    """Read a token; `now_s` in Unix seconds. Raises `InvalidRequest` for what is no such token, and
    `PermissionDenied` for one that is expired or not valid yet."""
    claims = _claims(text)
    if claims.ac is None:
        raise InvalidRequest("invalid token without access controls")
    if not isinstance(claims.ac, str):
        raise InvalidRequest(f"invalid token with access controls type {type(claims.ac).__name__}")
    now = time.time() if now_s is None else now_s
    if now > (expires := _seconds(claims.exp)):
        raise PermissionDenied(f"cache token expired at {_shown(expires)}")
    if now < (begins := _seconds(claims.nbf)):
        raise PermissionDenied(f"invalid token with future issue time time {_shown(begins)}")
    try:
        scopes = gojson.unmarshal(claims.ac, type=tuple[CacheScope, ...])
    except (msgspec.MsgspecError, RecursionError) as err:
        raise InvalidRequest(f"failed to parse token access controls: {err}") from None
    return ActionsToken(text, scopes, expires)


def _claims(text: str) -> _Claims:
    parts = text.split(".")
    if len(parts) != 3:
        raise InvalidRequest("token is malformed: token contains an invalid number of segments")
    try:
        decoded = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return gojson.unmarshal(decoded, type=_Claims)
    except (binascii.Error, ValueError) as err:
        raise InvalidRequest(f"token is malformed: could not JSON decode claim: {err}") from None


def _seconds(value: object) -> float:
    if value is None:
        raise InvalidRequest("invalid token without expiration time")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"invalid token with expiration time type {type(value).__name__}")
    return float(value)


def _shown(seconds: float) -> str:
    try:
        return str(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
