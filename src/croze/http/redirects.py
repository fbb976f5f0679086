"""Where a redirect leads, and what goes along (RFC 9110, sections 15.4 and 11.6). No I/O.

The method changes as in Go's client, which BuildKit's servers are used to. Credentials stay at the
origin (scheme, host and port) that they were meant for.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult

from msgspec import Struct

from croze.errors import CrozeError, InvalidRequest
from croze.files.redact import redact
from croze.gotypes.quote import quote
from croze.http.urls import join_urls, parse_url

MOST_REDIRECTS = 10
SCHEMES = ("http", "https")

_REDIRECTS = (301, 302, 303, 307, 308)
_KEEP_ALL = (307, 308)
_FOR_ONE_ORIGIN = ("authorization", "cookie", "cookie2", "proxy-authorization", "www-authenticate")
_PORTS = {"http": 80, "https": 443}


class RedirectRefused(CrozeError):
    """A server sends us where we don't go. Trying again does not help."""


class Hop(Struct, frozen=True):
    """A request, the first or one that a redirect leads to."""

    method: str
    url: str
    headers: Mapping[str, str]
    has_body: bool = False


def check_url(url: str) -> SplitResult:
    """The parts of a URL that is a web address. Raises `RedirectRefused` for any other."""
    try:
        parts = parse_url(url)
        _origin(parts)
    except InvalidRequest as error:
        raise RedirectRefused(str(error)) from None
    if parts.scheme not in SCHEMES:
        raise RedirectRefused(f'unsupported protocol scheme "{parts.scheme}"')
    if not parts.hostname:
        raise RedirectRefused("http: no Host in request URL")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:  # the libraries' resolvers would raise it
        raise RedirectRefused(f"dial tcp: lookup {parts.hostname}: no such host") from None
    return parts


def is_redirect(status: int, location: str) -> bool:
    """Whether to ask on. One without a location is an answer like others."""
    return status in _REDIRECTS and bool(location)


def next_step(step: Hop, status: int, location: str, *, may_downgrade: bool = False) -> Hop:
    """What to ask after this answer.

    Raises `RedirectRefused` for what is no web address, for a body that would go to another origin
    (it may hold a password), and, unless `may_downgrade`, for leaving https.
    """
    try:
        url = join_urls(step.url, location)
    except InvalidRequest as error:
        raise RedirectRefused(
            f"failed to parse Location header {quote(redact(location))}: {error}"
        ) from None
    before, after = check_url(step.url), check_url(url)
    if before.scheme == "https" and after.scheme == "http" and not may_downgrade:
        raise RedirectRefused(f"refused to be redirected from https to {redact(url)}")
    same = _origin(before) == _origin(after)
    keeps_all = status in _KEEP_ALL
    if step.has_body and keeps_all and not same:
        raise RedirectRefused(f"refused to send the request's body on to {redact(url)}")
    keep = {k: v for k, v in step.headers.items() if same or k.lower() not in _FOR_ONE_ORIGIN}
    if keeps_all:
        return Hop(step.method, url, keep, step.has_body)
    method = step.method if step.method in ("GET", "HEAD") else "GET"
    keep = {k: v for k, v in keep.items() if not k.lower().startswith("content-")}
    return Hop(method, url, keep)


def same_origin(one: str, other: str) -> bool:
    """Whether both are asked with the same credentials. Raises `RedirectRefused`."""
    return _origin(check_url(one)) == _origin(check_url(other))


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
