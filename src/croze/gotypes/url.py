"""URLs as Go's `net/url` reads and writes them: what is one, and how it is spelled afterwards.

Source: RFC 3986, and what Go makes of it. Of URLs without a scheme and `//` only the path is told.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct
from msgspec.structs import replace

from croze.errors import InvalidRequest
from croze.files.redact import redact
from croze.gotypes.quote import quote as quoted
from croze.gotypes.strings import from_bytes, to_bytes
from croze.patterns import lazy_pattern

_CONTROL = lazy_pattern("[\x00-\x1f\x7f]")
_SCHEME = lazy_pattern(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)\Z", re.DOTALL)
_ESCAPE = lazy_pattern(r"%([0-9a-fA-F]{2})?")
_USER = lazy_pattern(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*\Z")
_NO_HOST = lazy_pattern(r"[\x00-\x20#%/?@\\^`{|}\x7f]")
_PORT = lazy_pattern(r"(?::[0-9]*)?\Z")
_STRICT_COLONS: Final = ("http", "https")
_IN_HOST = "!\"$&'()*+,-.:;<=>[]_~"
_IN_USER = "$&+,-.;=_~"
_IN_PATH = "$&+,-./:;=@_~"
_IN_RAW_PATH = lazy_pattern(r"[A-Za-z0-9!$&'()*+,;=:@\[\]%./_~-]*\Z")


class GoUrl(Struct, frozen=True):
    """A URL taken apart. `user` is escaped, with its password; None if there is none. `path` is
    unescaped; `raw_path` is the one to write. `fragment` is unescaped."""

    scheme: str
    user: str | None
    host: str
    path: str
    raw_path: str
    query: str = ""
    bare_query: bool = False
    """Whether there is a `?` with nothing behind it."""
    fragment: str = ""

    def without_query(self) -> str:
        """The text of scheme, user, host and path."""
        user = "" if self.user is None else f"{self.user}@"
        host = _escaped(self.host, _IN_HOST)
        slash = "/" if self.host and self.raw_path and not self.raw_path.startswith("/") else ""
        mark = "?" if self.bare_query else ""
        rest = f"{user}{host}{slash}{self.raw_path}"
        return f"{self.scheme}:{'//' if rest else ''}{rest}{mark}"


def parse(text: str) -> GoUrl:
    """Take a URL apart. Raises `InvalidRequest` in Go's words, the password left out."""
    blamed, _, fragment = text.partition("#")
    try:
        parsed = _parse(blamed)
        blamed = text
        return replace(parsed, fragment=_unescaped(fragment))
    except InvalidRequest as error:
        raise error.wrap(f"parse {quoted(redact(blamed))}") from None


def _parse(text: str) -> GoUrl:
    """All but the fragment."""
    if _CONTROL.search(text):
        raise InvalidRequest("net/url: invalid control character in URL")
    if text.startswith(":"):
        raise InvalidRequest("missing protocol scheme")
    match = _SCHEME.match(text)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", text)
    bare = rest.endswith("?") and rest.count("?") == 1
    rest, _, query = rest.partition("?")
    user, host = None, ""
    if not scheme and ":" in rest.partition("/")[0]:
        raise InvalidRequest("first path segment in URL cannot contain colon")
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        before, at, behind = authority.rpartition("@")
        host = _host(scheme, behind)
        user = _user(before) if at else None
    path = _unescaped(rest)
    return GoUrl(scheme, user, host, path, _raw_path(rest, path), query, bare)


def _user(text: str) -> str:
    if not _USER.match(text):
        raise InvalidRequest("net/url: invalid userinfo")
    name, colon, password = text.partition(":")
    return _reescaped(name) + colon + _reescaped(password)


def _reescaped(text: str) -> str:
    return _escaped(_unescaped(text), _IN_USER)


def _host(scheme: str, text: str) -> str:
    bracket = text.rfind("[")
    if bracket > 0:
        raise InvalidRequest("invalid IP-literal")
    if bracket == 0:
        return _literal(text)
    colon = text.find(":")
    if colon >= 0:
        strict = scheme in _STRICT_COLONS
        _check_port(text[colon if strict else text.rfind(":") :])
    return _unescaped_host(text)


def _literal(text: str) -> str:
    """`[::1]:80`; a zone is `%25` and its name."""
    inner, bracket, port = text[1:].rpartition("]")
    if not bracket:
        raise InvalidRequest("missing ']' in host")
    _check_port(port)
    address, percent, zone = inner.partition("%25")
    address = _unescaped_host(address)
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        raise InvalidRequest(f"invalid host: ParseAddr({quoted(address)})") from None
    return f"[{address}{'%' if percent else ''}{_unescaped(zone)}]{port}"


def _check_port(text: str) -> None:
    if not _PORT.match(text):
        raise InvalidRequest(f"invalid port {quoted(text)} after host")


def _unescaped_host(text: str) -> str:
    """Only what is not ASCII may be escaped in a host."""
    for escape in _ESCAPE.finditer(text):
        if escape[1] is None or (int(escape[1], 16) < 0x80 and escape[0] != "%25"):
            raise _bad_escape(text, escape.start())
    wrong = _NO_HOST.search(_ESCAPE.sub("", text))
    if wrong:
        raise InvalidRequest(f"invalid character {quoted(wrong[0])} in host name")
    return _unescaped(text)


def _unescaped(text: str) -> str:
    for escape in _ESCAPE.finditer(text):
        if escape[1] is None:
            raise _bad_escape(text, escape.start())
    return from_bytes(unquote_to_bytes(to_bytes(text)))


def _bad_escape(text: str, at: int) -> InvalidRequest:
    return InvalidRequest(f"invalid URL escape {quoted(text[at : at + 3])}")


def _escaped(text: str, safe: str) -> str:
    return quote(to_bytes(text), safe=safe)


def _raw_path(escaped_path: str, path: str) -> str:
    """The path as it is if that is well escaped; escaped anew if not."""
    return escaped_path if _IN_RAW_PATH.match(escaped_path) else _escaped(path, _IN_PATH)


def parse_query(text: str) -> tuple[dict[str, list[str]], str]:
    """Values by key, without the pairs that are none, and what is wrong with the last or the first
    of those; empty if nothing is."""
    values: dict[str, list[str]] = {}
    problem = ""
    for pair in filter(None, text.split("&")):
        if ";" in pair:
            problem = "invalid semicolon separator in query"
            continue
        key, _, value = pair.partition("=")
        try:
            name, content = (_unescaped(each.replace("+", " ")) for each in (key, value))
        except InvalidRequest as error:
            problem = problem or str(error)
            continue
        values.setdefault(name, []).append(content)
    return values, problem
