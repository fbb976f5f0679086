"""Azure Storage's Shared Key (Azure Storage REST API, "Authorize with Shared Key", versions from
2015-02-21). Pure."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl

from croze.errors import InvalidRequest
from croze.gotypes.quote import quote
from croze.http.urls import parse_url

_IN_ORDER = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type"),
    *("date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)


@dataclasses.dataclass(frozen=True)
class SharedKey:
    """An account's key. `secret`: the decoded key."""

    account: str
    secret: bytes = dataclasses.field(repr=False)

    @classmethod
    def parse(cls, account: str, key: str) -> SharedKey:
        """The key of an account, as its owner is shown it. Raises `InvalidRequest` for a key that
        is not base64."""
        try:
            return cls(account, base64.b64decode(key, validate=True))
        except (binascii.Error, ValueError):
            raise InvalidRequest(
                f"failed to create shared key: decode account key of {quote(account)}: illegal "
                "base64 data"
            ) from None

    def signed(
        self, method: str, url: str, headers: Mapping[str, str], now: datetime
    ) -> dict[str, str]:
        """The headers with those that sign them; `now` is aware, UTC."""
        full = dict(headers) | {"x-ms-date": http_date(now)}
        text = to_sign(self.account, method, url, full)
        mac = hmac.new(self.secret, text.encode(), hashlib.sha256).digest()
        full["Authorization"] = f"SharedKey {self.account}:{base64.b64encode(mac).decode()}"
        return full


def to_sign(account: str, method: str, url: str, headers: Mapping[str, str]) -> str:
    """What the signature covers."""
    low = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    if low.get("content-length") == "0":
        low["content-length"] = ""
    lines = [method, *(low.get(name, "") for name in _IN_ORDER)]
    lines += [f"{name}:{low[name]}" for name in sorted(low) if name.startswith("x-ms-")]
    return "\n".join(lines) + "\n" + _resource(account, url)


def _resource(account: str, url: str) -> str:
    parts = parse_url(url)
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        values.setdefault(name.lower(), []).append(value)
    lines = [f"/{account}{parts.path or '/'}"]
    lines += [f"{name}:{','.join(sorted(values[name]))}" for name in sorted(values)]
    return "\n".join(lines)


def http_date(moment: datetime) -> str:
    """RFC 9110, section 5.6.7, whatever the locale."""
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return (
        f"{days[moment.weekday()]}, {moment.day:02} {months[moment.month - 1]} {moment.year} "
        f"{moment:%H:%M:%S} GMT"
    )
