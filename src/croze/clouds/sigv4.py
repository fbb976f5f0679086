"""AWS Signature Version 4 in headers (Amazon S3 API Reference, "Signature Calculations for the
Authorization Header: Transferring Payload in a Single Chunk"). Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, unquote

from croze.clouds.aws import AwsCredentials
from croze.http.urls import parse_url

_ALGORITHM = "AWS4-HMAC-SHA256"


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    payload_sha256: str,
    credentials: AwsCredentials,
    region: str,
    now: datetime,
    service: str = "s3",
) -> dict[str, str]:
    """The headers with those that sign them. The URL's path is encoded already, once, as S3 wants
    it; `now` is aware, UTC. Headers named `x-amz-*` are covered by the signature, and the host."""
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    full = dict(headers) | {"x-amz-date": moment, "x-amz-content-sha256": payload_sha256}
    if credentials.session_token:
        full["x-amz-security-token"] = credentials.session_token
    covered = {k.lower(): " ".join(v.split()) for k, v in full.items() if _counts(k)}
    covered["host"] = _host(url)
    names = ";".join(sorted(covered))
    canonical = "\n".join(
        [
            method,
            parse_url(url).path or "/",
            _canonical_query(url),
            *(f"{name}:{covered[name]}" for name in sorted(covered)),
            "",
            names,
            payload_sha256,
        ]
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = _hmac(
        _key(credentials.secret_access_key, moment[:8], region, service),
        "\n".join([_ALGORITHM, moment, scope, digest]),
    ).hex()
    full["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return full


def encoded(text: str, *, safe: str = "") -> str:
    """Percent-encoded as AWS does it: all but unreserved characters, and `safe`."""
    return quote(text, safe=f"-_.~{safe}")


def _counts(name: str) -> bool:
    return name.lower().startswith("x-amz-") or name.lower() == "content-md5"


def _host(url: str) -> str:
    """The host as it goes into the Host header: without a port that is the scheme's own."""
    parts = parse_url(url)
    host = parts.netloc.rpartition("@")[2]
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return host.removesuffix(default) if default else host


def _canonical_query(url: str) -> str:
    pairs = [part.partition("=") for part in parse_url(url).query.split("&") if part]
    return "&".join(
        sorted(f"{encoded(unquote(name))}={encoded(unquote(value))}" for name, _, value in pairs)
    )


def _key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
