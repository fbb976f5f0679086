"""Attributes of `type=s3` (BuildKit `cache/remotecache/s3`)."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from collections.abc import Mapping
from typing import ClassVar, Literal

from croze.clouds.aws import AwsCredentials
from croze.clouds.sigv4 import encoded
from croze.errors import InvalidRequest
from croze.gotypes.duration import DurationError, parse_duration
from croze.http.redirects import RedirectRefused, check_url
from croze.http.urls import parse_url
from croze.patterns import lazy_pattern
from croze.remotecache.objects.attributes import (
    Attrs,
    from_environment,
    lenient_bool,
    names,
    one_of,
    positive,
)

_MODES = ("standard", "adaptive")
_DAY_NS = 24 * 3600 * 10**9
_PARTITIONS = (
    ("cn-", "amazonaws.com.cn"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
    ("", "amazonaws.com"),
)
"""Where the regions of a prefix are (AWS' own list of partitions)."""
_LABEL = lazy_pattern(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclasses.dataclass(frozen=True)
class S3Options:
    """What the attributes say. `touch_refresh_ns`: blobs that were not written for so long are
    renewed. `credentials`: None for the daemon's own. `disable_accept_encoding` is not here: what
    it takes out of signatures was never in ours."""

    kind: ClassVar[Literal["s3"]] = "s3"
    bucket: str
    region: str
    prefix: str
    blobs_prefix: str
    manifests_prefix: str
    names: tuple[str, ...]
    touch_refresh_ns: int
    upload_parallelism: int
    attempts: int
    adaptive: bool
    base_url: str
    """The URL of the bucket, without a slash at the end."""
    credentials: AwsCredentials | None = dataclasses.field(default=None, repr=False)

    def blob_key(self, digest: str) -> str:
        return f"{self.prefix}{self.blobs_prefix}{digest}"

    def config_key(self, name: str) -> str:
        return f"{self.prefix}{self.manifests_prefix}{name}"

    def url(self, key: str, query: str = "") -> str:
        """The URL of an object."""
        path = encoded(key, safe="/")
        return f"{self.base_url}/{path}{'?' if query else ''}{query}"


def parse(attrs: Attrs) -> S3Options:
    """What the attributes of `type=s3` say. Raises `InvalidRequest`."""
    bucket, region = _needed(attrs, "bucket"), _needed(attrs, "region")
    attempts = _attempts(attrs)
    return S3Options(
        bucket=bucket,
        region=region,
        prefix=attrs.get("prefix", ""),
        blobs_prefix=attrs.get("blobs_prefix", "blobs/"),
        manifests_prefix=attrs.get("manifests_prefix", "manifests/"),
        names=names(attrs),
        touch_refresh_ns=_touch_refresh_ns(attrs),
        upload_parallelism=positive(attrs, "upload_parallelism", 4),
        attempts=attempts,
        adaptive=_adaptive(attrs),
        base_url=_base_url(attrs, bucket, region),
        credentials=_credentials(attrs),
    )


def of_origin(origin: Mapping[str, str]) -> S3Options:
    """Options to read blobs with the daemon's own credentials, see `ObjectCache.origin`."""
    return S3Options(
        bucket=origin["bucket"],
        region=origin["region"],
        prefix=origin["prefix"],
        blobs_prefix=origin["blobs_prefix"],
        manifests_prefix="",
        names=(),
        touch_refresh_ns=_DAY_NS,
        upload_parallelism=1,
        attempts=_attempts({}),
        adaptive=_adaptive({}),
        base_url=origin["base_url"],
    )


def _needed(attrs: Attrs, key: str) -> str:
    variable = f"AWS_{key.upper()}"
    try:
        return from_environment(attrs, key, variable)
    except KeyError:
        raise InvalidRequest(f"{key} (${variable}) not set for s3 cache") from None


def _touch_refresh_ns(attrs: Attrs) -> int:
    """A day where nothing is said, or nothing that is a duration."""
    try:
        return parse_duration(attrs.get("touch_refresh", ""))
    except DurationError:
        return _DAY_NS


def _adaptive(attrs: Attrs) -> bool:
    """Whether requests go slower when the storage asks for it."""
    one_of(attrs, "retry_mode", _MODES)
    mode = attrs.get("retry_mode") or os.environ.get("AWS_RETRY_MODE", "")
    if mode and mode.lower() not in _MODES:
        raise InvalidRequest(f"AWS_RETRY_MODE: unknown RetryMode, {mode}")
    return mode.lower() == "adaptive"


def _attempts(attrs: Attrs) -> int:
    text = os.environ.get("AWS_MAX_ATTEMPTS", "")
    default = int(text) if text.isdecimal() and 0 < len(text) < 4 and int(text) else 3
    return positive(attrs, "retry_max_attempts", default)


def _credentials(attrs: Attrs) -> AwsCredentials | None:
    id, secret = attrs.get("access_key_id", ""), attrs.get("secret_access_key", "")
    return AwsCredentials(id, secret, attrs.get("session_token", "")) if id and secret else None


def _base_url(attrs: Attrs, bucket: str, region: str) -> str:
    url = attrs.get("endpoint_url", "")
    path_style = bool(url) and lenient_bool(attrs, "use_path_style")
    endpoint = url or _endpoint_of_environment() or f"https://s3.{region}.{_suffix(region)}"
    try:
        parts = check_url(endpoint)
    except RedirectRefused as err:
        raise InvalidRequest(f'endpoint rule error, Custom endpoint "{err}"') from None
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/")
    if path_style or not _fits_host(bucket, endpoint):
        return f"{parts.scheme}://{host}{path}/{encoded(bucket)}"
    return f"{parts.scheme}://{bucket}.{host}{path}"


def _endpoint_of_environment() -> str:
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return ""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")


def _suffix(region: str) -> str:
    return next(suffix for prefix, suffix in _PARTITIONS if region.startswith(prefix))


def _fits_host(bucket: str, endpoint: str) -> bool:
    """Whether the bucket's name can stand in front of the host's (S3's endpoint rules). With https
    there may be no dot in it: certificates know one label more."""
    parts = parse_url(endpoint)
    try:
        ipaddress.ip_address(parts.hostname or "")
        return False
    except ValueError:
        pass
    labels = bucket.split(".") if parts.scheme == "http" else [bucket]
    return all(_LABEL.fullmatch(label) for label in labels)
