"""Attributes of `type=gha` (BuildKit `cache/remotecache/gha`)."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from typing import ClassVar, Literal

from croze.errors import InvalidRequest
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote
from croze.http.redirects import RedirectRefused, check_url
from croze.remotecache.objects import actions_token
from croze.remotecache.objects.actions_token import ActionsToken
from croze.remotecache.objects.attributes import Attrs

_DEFAULT_TIMEOUT_S = 600.0
_FORMAT = "1"
BLOB_PREFIX = f"buildkit-blob-{_FORMAT}-"
_RESULTS_HOST = "results-receiver.actions.githubusercontent.com"
_REST_URL = "https://api.github.com"


@dataclasses.dataclass(frozen=True)
class GhaOptions:
    """What the attributes say. `version`: of the service's API. `timeout_s`: how long requests are
    tried that the service has no time for. `rest_token` and `repository`: to ask GitHub for all
    keys at once."""

    kind: ClassVar[Literal["gha"]] = "gha"
    url: str
    version: int
    token: ActionsToken
    scope: str = "buildkit"
    timeout_s: float = _DEFAULT_TIMEOUT_S
    repository: str = ""
    rest_token: str = dataclasses.field(default="", repr=False)
    rest_url: str = _REST_URL

    def index_key(self, scope: str) -> str:
        """The key of the cache config that is written with this one of the token's scopes."""
        short = hashlib.sha256(scope.encode()).hexdigest()[:8]
        return f"index-{self.scope}-{_FORMAT}-{short}"


def blob_key(digest: str) -> str:
    return f"{BLOB_PREFIX}{digest}"


def parse(attrs: Attrs) -> GhaOptions:
    """What the attributes of `type=gha` say. Raises `InvalidRequest`, and `PermissionDenied` for a
    token that is not valid now."""
    if "token" not in attrs:
        raise InvalidRequest("token not set for github actions cache")
    version = _version(attrs)
    url = ""
    if version != 1 and "url_v2" in attrs:
        url, version = attrs["url_v2"], 2
    url = url or attrs.get("url", "")
    if not url:
        raise InvalidRequest("url not set for github actions cache")
    if version == 0:
        version = 2 if _RESULTS_HOST in url else 1
    try:
        check_url(url)
    except RedirectRefused as err:
        raise InvalidRequest(str(err)) from None
    return GhaOptions(
        url=url.rstrip("/"),
        version=2 if version > 1 else 1,
        token=actions_token.parse(attrs["token"]),
        scope=attrs.get("scope", "buildkit"),
        timeout_s=_timeout_s(attrs),
        repository=_repository(attrs),
        rest_token=attrs.get("ghtoken", ""),
        rest_url=os.environ.get("GITHUB_API_URL", _REST_URL).rstrip("/"),
    )


def _version(attrs: Attrs) -> int:
    text = attrs.get("version")
    if text is None:
        return 0
    try:
        return parse_int(text)
    except InvalidRequest as error:
        failure = f"failed to parse api version {quote(text)}, expected positive integer"
        raise error.wrap(failure) from None


def _timeout_s(attrs: Attrs) -> float:
    if "timeout" not in attrs:
        return _DEFAULT_TIMEOUT_S
    try:
        return parse_duration(attrs["timeout"]) / 10**9
    except DurationError as err:
        raise InvalidRequest(f"failed to parse timeout for github actions cache: {err}") from None


def _repository(attrs: Attrs) -> str:
    """`owner/name`: it becomes part of a URL."""
    text = attrs.get("repository", "")
    if text and not re.fullmatch(r"[\w.-]+/[\w.-]+", text, re.ASCII):
        raise InvalidRequest(f"invalid repository {quote(text)} for github actions cache")
    return text
