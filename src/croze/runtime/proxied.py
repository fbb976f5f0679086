"""What is asked of the proxy of one container, and what it notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlunsplit

from msgspec import Struct, field

from croze.errors import InvalidRequest
from croze.files.redact import redact
from croze.http.urls import parse_url

Rules = Callable[[str, str], Awaitable[str]]
"""Method and URL → the URL that is asked in its place, mostly the same. Raises `CrozeError` for
what is refused."""

REQUESTS_MOST = 20_000
URL_BYTES_MOST = 16 << 20
"""The most that is noted of one container, which the daemon and the build's provenance bear."""
_PORTS = {"http": 80, "https": 443}


class ProxiedRequest(Struct, frozen=True):
    """One request. `redirect`: where the answer leads on to; `status` 502 for none."""

    method: str
    url: str
    status: int
    redirect: str = ""


class Uncaptured(Struct, frozen=True):
    """A request that provenance can't name by digest, and why."""

    method: str
    url: str
    reason: str


@dataclasses.dataclass
class ProxyCapture:
    """What one container asked of its proxy. URLs are as they may be shown."""

    requests: list[ProxiedRequest] = dataclasses.field(default_factory=list)
    materials: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """URLs and the digests of what they gave."""
    uncaptured: list[Uncaptured] = dataclasses.field(default_factory=list)
    url_bytes: int = dataclasses.field(default=0, compare=False)

    @property
    def is_full(self) -> bool:
        """Whether nothing more can be noted, hence asked."""
        return len(self.requests) >= REQUESTS_MOST or self.url_bytes >= URL_BYTES_MOST

    def note(self, request: ProxiedRequest) -> None:
        self.requests.append(request)
        self.url_bytes += len(request.method) + len(request.url) + len(request.redirect)

    def log(self) -> str:
        """What to add to the step's output; empty if nothing was asked."""
        lines = [f"- {each.method} {each.url} -> {each.status}" for each in self.requests]
        return "\n".join(["proxy network requests:", *lines, ""]) if lines else ""

    def sources(self) -> list[tuple[str, str]]:
        """The materials, and URLs that led to one by way of others."""
        digests = dict(self.materials)
        leads = {a.url: a.redirect for a in self.requests if a.redirect and a.redirect != a.url}
        for url in leads:
            seen = {url}
            target = leads[url]
            while target in leads and target not in digests and target not in seen:
                seen.add(target)
                target = leads[target]
            if target in digests:
                digests.setdefault(url, digests[target])
        return list(digests.items())


class Proxied(Struct, frozen=True):
    """A container's network is a proxy alone: the rules for its requests, and what is noted of
    them."""

    rules: Sequence[Rules] = ()
    """Each request must be allowed by all of them."""
    capture: ProxyCapture = field(default_factory=ProxyCapture)


def shown(url: str) -> str:
    """A URL as it may be shown: without a password, or a port that goes without saying."""
    try:
        parts = parse_url(url)
        plain = parts.port == _PORTS.get(parts.scheme)
    except InvalidRequest:
        return redact(url)
    if parts.netloc and plain:
        parts = parts._replace(netloc=parts.netloc.rpartition(":")[0])
    return redact(urlunsplit(parts))
