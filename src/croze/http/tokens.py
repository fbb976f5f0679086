"""Token servers: what they are asked, and the tokens that they answer with.

Source: distribution project, `docs/spec/auth` (token and OAuth2 requests). Answers are read as
Go's `encoding/json` reads them, with its words for what they are not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from croze.errors import CrozeError
from croze.gotypes import gojson
from croze.gotypes.json_text import JsonSyntaxError, first_value

CLIENT_ID = "buildkit-client"
LIFETIME_S = 60
"""The lifetime of tokens that don't say how long they hold."""
_MOST = 1 << 63
_KINDS = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
_GO_TYPES = {str: "string", int: "int"}

T = TypeVar("T", str, int)


class IssuedToken(Struct, frozen=True):
    """A bearer token, as a token server gave it. `issued_at` is in seconds since the epoch, 0 if
    the server didn't say."""

    value: str
    expires_in_s: int = LIFETIME_S
    issued_at: int = 0

    @property
    def lifetime_s(self) -> float:
        """How long it holds from now on. One that would be over when it comes is from a clock
        that is wrong."""
        lifetime = float(self.expires_in_s if self.expires_in_s > 0 else LIFETIME_S)
        age = max(0.0, time.time() - self.issued_at) if self.issued_at else 0.0
        return lifetime - age if age < lifetime else lifetime


def token_url(realm: str, service: str, scopes: Sequence[str]) -> str:
    """What is asked for by GET."""
    url, has_fragment, fragment = realm.partition("#")
    query = [("scope", scope) for scope in scopes] + ([("service", service)] if service else [])
    joint = "&" if "?" in url else "?"
    return f"{url}{joint if query else ''}{urlencode(query)}{has_fragment}{fragment}"


def token_form(service: str, scopes: Sequence[str], user: str, secret: str) -> dict[str, str]:
    """What is posted to who knows OAuth 2. Without a user's name the secret is a refresh token."""
    form = {"service": service, "client_id": CLIENT_ID}
    if scopes:
        form["scope"] = " ".join(scopes)
    if user:
        return form | {"grant_type": "password", "username": user, "password": secret}
    return form | {"grant_type": "refresh_token", "refresh_token": secret}


def may_know_other(status: int, user: str) -> bool:
    """Whether who answers so to a GET may give a token to a POST, or the other way round."""
    return status in (401, 404) or (status == 405 and bool(user))


def read_token(body: bytes, *, posted: bool) -> IssuedToken:
    """The token in the answer to a form that was `posted`, or to a GET. Raises `CrozeError`."""
    go_type = "OAuthTokenResponse" if posted else "FetchTokenResponse"
    try:
        members = _members(body, f"auth.{go_type}")
        value = _member(members, "access_token", go_type, "") or _member(
            members, "token", go_type, ""
        )
        expires_in_s = _member(members, "expires_in", go_type, 0)
    except (JsonSyntaxError, msgspec.ValidationError, RecursionError) as error:
        raise CrozeError(f"unable to decode token response: {error}") from None
    if not value:
        raise CrozeError("authorization server did not include a token in the response")
    lifetime_s = expires_in_s if expires_in_s > 0 else LIFETIME_S
    return IssuedToken(sendable(value), lifetime_s, _seconds(members.get("issued_at")))


def sendable(token: str) -> str:
    """The token, which can be in a request's head. Raises `CrozeError` for one that can't."""
    if token.isascii() and token.isprintable():
        return token
    raise CrozeError("authorization server sent a token that no request can have")


def _members(body: bytes, go_type: str) -> Mapping[str, object]:
    """The members of the object, which are called what they are in any case, without nulls."""
    gojson.check_parts(body)
    value = first_value(body.decode("utf-8", "replace"))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise JsonSyntaxError(_of_other_type(value, f"value of type {go_type}"))
    return {str(key).casefold(): each for key, each in value.items() if each is not None}


def _member(members: Mapping[str, object], name: str, go_type: str, default: T) -> T:
    value, kind = members.get(name, default), type(default)
    if type(value) is not kind or (isinstance(value, int) and not -_MOST <= value < _MOST):
        place = f"struct field {go_type}.{name} of type {_GO_TYPES[kind]}"
        raise JsonSyntaxError(_of_other_type(value, place, number=kind is int))
    return value


def _of_other_type(value: object, place: str, *, number: bool = False) -> str:
    kind = _KINDS.get(type(value), "object")
    shown = f"{kind} {value}" if number and kind == "number" else kind
    return f"json: cannot unmarshal {shown} into Go {place}"


def _seconds(text: object) -> int:
    """RFC 3339, since the epoch; 0 for what is no time, or the one that stands for none."""
    try:
        return max(0, int(datetime.fromisoformat(str(text)).timestamp()))
    except (ValueError, OverflowError):
        return 0
