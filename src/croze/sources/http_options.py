"""What HTTP source ops say, and the keys made of it."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

from croze.cachekeys.texts import noted_digest
from croze.errors import InvalidRequest
from croze.files.redact import redact
from croze.gotypes import gojson
from croze.gotypes.numbers import parse_int_literal
from croze.http.urls import parse_url
from croze.image.reference import check_digest
from croze.sources.request import SourceRequest
from croze.sources.resolutions import HttpFile

_HEADERS = frozenset(["Accept", "User-Agent"])
"""What a build may set."""


class HttpOptions(Struct, frozen=True):
    """What an HTTP source op says. `headers` are sorted by name."""

    url: str
    checksum: str = ""
    filename: str = ""
    perm: int = 0
    uid: int = 0
    gid: int = 0
    auth_secret: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    public_key: bytes = b""
    signature: bytes = b""
    """Armoured OpenPGP; both or none."""

    @property
    def shown(self) -> str:
        """The URL as messages have it: without user and password, and in ASCII."""
        return quote(redact(self.url), safe=string.punctuation)


_MAX_NUMBER = (1 << 32) - 2
"""The largest id of an owner, as the kernel has them; the next one means "leave it"."""


class _Header(msgspec.Struct, rename="pascal"):
    name: str
    value: str


class _HttpKey(msgspec.Struct, rename="pascal"):
    """Field order is part of the key."""

    filename: str
    perm: int
    uid: int = msgspec.field(name="UID")
    gid: int = msgspec.field(name="GID")
    checksum: str
    last_mod_time: str | msgspec.UnsetType = msgspec.UNSET
    auth_header_secret: str | msgspec.UnsetType = msgspec.UNSET
    header: tuple[_Header, ...] | msgspec.UnsetType = msgspec.UNSET


def http_key(options: HttpOptions, file: HttpFile) -> str:
    """A text for the cache key: of the content, and of all that decides how the file lies there."""
    modified = file.modified
    return noted_digest(
        gojson.marshal(
            _HttpKey(
                file.filename,
                options.perm,
                options.uid,
                options.gid,
                file.digest,
                http_date(modified) if modified is not None else msgspec.UNSET,
                options.auth_secret or msgspec.UNSET,
                tuple(_Header(*pair) for pair in options.headers) or msgspec.UNSET,
            )
        ),
        "json",
    )


def http_date(when: datetime) -> str:
    """A time as HTTP's headers have it (RFC 9110, 5.6.7)."""
    from email.utils import format_datetime  # a room of its own to import

    return format_datetime(when.astimezone(UTC), usegmt=True)


def parse_options(request: SourceRequest) -> HttpOptions:
    """Read a source op. Raises `InvalidRequest`."""
    attrs = request.attrs
    public_key, signature = attrs.get("http.sig.pubkey", ""), attrs.get("http.sig.signature", "")
    if bool(public_key) != bool(signature):
        raise InvalidRequest("http signature verification requires both pubkey and signature")
    headers = {
        "-".join(part.capitalize() for part in name.removeprefix("http.header.").split("-")): value
        for name, value in attrs.items()
        if name.startswith("http.header.")
    }
    return HttpOptions(
        request.identifier,
        check_digest(attrs["http.checksum"]) if "http.checksum" in attrs else "",
        attrs.get("http.filename", ""),
        number(attrs, "http.perm"),
        number(attrs, "http.uid"),
        number(attrs, "http.gid"),
        attrs.get("http.authheadersecret", ""),
        tuple(sorted(pair for pair in headers.items() if pair[0] in _HEADERS)),
        public_key.encode(),
        signature.encode(),
    )


def number(attrs: Mapping[str, str], key: str) -> int:
    """Decimal, or octal with a leading zero; 0 if it is not there."""
    text = attrs.get(key, "0")
    value = parse_int_literal(text)
    if not 0 <= value <= _MAX_NUMBER:
        raise InvalidRequest(f'invalid value for {key} "{text}"')
    return value


def file_name(url: str, override: str, disposition: str = "") -> str:
    """The attribute, else what the server says, else the last part of the path."""
    if override:
        return _safe(override)
    named = _told(disposition)
    if named and not named.endswith("/"):
        return _safe(named)
    return _safe(unquote(parse_url(url).path))


def _told(disposition: str) -> str:
    """The name in a header; empty for none, and for one that can't be read."""
    if not disposition:
        return ""
    from email.message import Message

    message = Message()
    message["Content-Disposition"] = disposition
    try:
        return message.get_filename() or ""
    except ValueError:  # some of the charsets that it may name decode nothing
        return ""


def _safe(path: str) -> str:
    """The last part of a path, or a name of our own if that can be none of a file."""
    name = PurePosixPath("/", path.strip()).name
    if name in ("", "..") or any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        return "download"
    return name
