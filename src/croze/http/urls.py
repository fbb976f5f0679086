"""URLs taken apart, in one place: the library's own function raises ValueErrors, at once or when
the port is looked at, and leaves out line ends without a word."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit  # noqa: TID251

from croze.errors import InvalidRequest
from croze.files.redact import redact
from croze.gotypes.quote import quote
from croze.patterns import lazy_pattern

_CONTROL = lazy_pattern("[\x00-\x1f\x7f]")


def parse_url(url: str) -> SplitResult:
    """The parts, whose `port` can be looked at without care. Raises `InvalidRequest` in the words
    of Go's `net/url`, the password left out."""
    if _CONTROL.search(url):
        raise _wrong(url, "net/url: invalid control character in URL")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _wrong(url, "missing ']' in host" if "[" in url else "invalid host") from None
    try:
        _ = parts.port
    except ValueError:
        port = parts.netloc.rpartition(":")[2]
        raise _wrong(url, f"invalid port {quote(f':{port}')} after host") from None
    return parts


def join_urls(base: str, location: str) -> str:
    """Where `location` leads, as told by `base`, which is a URL. Raises `InvalidRequest`."""
    parse_url(location)
    return urljoin(base, location)


def _wrong(url: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"parse {quote(redact(url))}: {why}")
