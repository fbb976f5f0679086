"""Addresses of git repositories: URLs and `user@host:path` (git's "Git on the Server", protocols).

A fragment `#ref:subdir` and a query may follow; what they mean is up to who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from croze.errors import InvalidRequest
from croze.gotypes import url
from croze.llb.meta import join_path
from croze.patterns import lazy_pattern

_PROTOCOL = lazy_pattern(r"[a-zA-Z0-9]+://")
_SUPPORTED = frozenset({"http", "https", "ssh", "git"})
_SCP = lazy_pattern(r"([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):([^\n]*?)(?:\?([^\n]*?))?(?:#([^\n]*))?\Z")


class UnknownProtocol(InvalidRequest):
    """The text is no address: it may be a path."""


class GitUrl(Struct, frozen=True):
    """A parsed address. `remote` is what git itself takes: without query and fragment."""

    scheme: str
    host: str
    path: str
    remote: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ref: str = ""
    subdir: str = ""


def parse_git_url(text: str) -> GitUrl:
    """Read an address. Raises `UnknownProtocol` where there is neither `://` nor `user@host:`."""
    match = _PROTOCOL.match(text)
    if match is not None:
        protocol = match[0].removesuffix("://").lower()
        if protocol not in _SUPPORTED:
            raise InvalidRequest(f"{protocol}: invalid protocol")
        return parse_url(text)
    scp = _SCP.match(text)
    if scp is None:
        raise UnknownProtocol("unknown protocol")
    user, host, path, query, fragment = scp.groups()
    values, problem = url.parse_query(query or "")
    if problem:
        raise UnknownProtocol("unknown protocol")
    remote = f"{user}@{host}:{path}"
    return _with_fragment("ssh", host, path, remote, values, fragment or "")


def parse_url(text: str) -> GitUrl:
    """Read a text that is a URL for sure."""
    parsed = url.parse(text)
    values, _ = url.parse_query(parsed.query)
    remote = parsed.without_query()
    return _with_fragment(parsed.scheme, parsed.host, parsed.path, remote, values, parsed.fragment)


def _with_fragment(
    scheme: str,
    host: str,
    path: str,
    remote: str,
    query: Mapping[str, Sequence[str]],
    fragment: str,
) -> GitUrl:
    ref, _, subdir = fragment.partition(":")
    subdir = join_path("/", subdir).removeprefix("/")
    return GitUrl(scheme, host, path, remote, query, ref, subdir)
