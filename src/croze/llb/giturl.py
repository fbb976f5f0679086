"""Addresses of git repositories: URLs and `user@host:path` (git's "Git on the Server", protocols).

A fragment `#ref:subdir` and a query may follow; what they mean is up to who asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote, unquote

from msgspec import Struct, field

from croze.errors import InvalidRequest
from croze.llb.meta import join_path

_PROTOCOL = re.compile(r"[a-zA-Z0-9]+://")
_SUPPORTED = frozenset({"http", "https", "ssh", "git"})
_SCP = re.compile(r"([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):([^\n]*?)(?:\?([^\n]*?))?(?:#([^\n]*))?\Z")
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?\Z", re.S)
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.S)
_PATH_SAFE = "$&+,/:;=@-_.~!'()*[]"


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
    remote = f"{user}@{host}:{path}"
    return _with_fragment("ssh", host, path, remote, query, fragment)


def parse_url(text: str) -> GitUrl:
    """Read a text that is a URL for sure."""
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in text):
        raise InvalidRequest(f'parse "{text}": net/url: invalid control character in URL')
    match = _URL.match(text)
    if match is None:
        raise InvalidRequest(f'parse "{text}": missing protocol scheme')
    scheme, authority, raw_path, query, fragment = match.groups()
    bad = _BAD_ESCAPE.search(raw_path)
    if bad is not None:
        raise InvalidRequest(f'parse "{text}": invalid URL escape "{bad[0]}"')
    scheme = scheme.lower()
    host = authority.rpartition("@")[2]
    remote = f"{scheme}://{authority}{quote(raw_path, safe=_PATH_SAFE + '%')}"
    return _with_fragment(scheme, host, unquote(raw_path), remote, query, unquote(fragment or ""))


def _with_fragment(
    scheme: str, host: str, path: str, remote: str, query: str | None, fragment: str | None
) -> GitUrl:
    values: dict[str, list[str]] = {}
    for key, value in parse_qsl(query or "", keep_blank_values=True):
        values.setdefault(key, []).append(value)
    ref, _, subdir = (fragment or "").partition(":")
    subdir = join_path("/", subdir).removeprefix("/")
    return GitUrl(scheme, host, path, remote, values, ref, subdir)
