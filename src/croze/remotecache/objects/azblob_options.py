"""Attributes of `type=azblob` (BuildKit `cache/remotecache/azblob`)."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping
from typing import ClassVar, Literal
from urllib.parse import quote as percent

from croze.clouds.sharedkey import SharedKey
from croze.errors import InvalidRequest
from croze.http.redirects import RedirectRefused, check_url
from croze.remotecache.objects.attributes import Attrs, from_environment, names

_ENV = "BUILDKIT_AZURE_STORAGE"


@dataclasses.dataclass(frozen=True)
class AzblobOptions:
    """What the attributes say. `account_url`: as it was said, but for the query, which may be a
    signature (`query`). `key`: None for the daemon's own identity."""

    kind: ClassVar[Literal["azblob"]] = "azblob"
    account_url: str
    account: str
    container: str
    prefix: str
    manifests_prefix: str
    blobs_prefix: str
    names: tuple[str, ...]
    query: str = dataclasses.field(default="", repr=False)
    key: SharedKey | None = dataclasses.field(default=None, repr=False)

    def blob_key(self, digest: str) -> str:
        return _joined(self.prefix, self.blobs_prefix, digest)

    def config_key(self, name: str) -> str:
        return _joined(self.prefix, self.manifests_prefix, name)

    def url(self, key: str = "") -> str:
        """The URL of a blob, or of the container."""
        path = f"{self.account_url}/{percent(self.container, safe='')}"
        if key:
            path += f"/{percent(key, safe='/:@&=+$')}"
        return f"{path}?{self.query}" if self.query else path


def parse(attrs: Attrs) -> AzblobOptions:
    """What the attributes of `type=azblob` say. Raises `InvalidRequest`."""
    try:
        url = from_environment(attrs, "account_url", f"{_ENV}_ACCOUNT_URL")
    except KeyError:
        raise InvalidRequest(
            f"either ${{{_ENV}_ACCOUNT_URL}} or account_url attribute is required for azblob cache"
        ) from None
    try:
        parts = check_url(url)
    except RedirectRefused as err:
        raise InvalidRequest(
            f"azure storage account url provided is not a valid url: {err}"
        ) from None
    first = (parts.hostname or "").split(".")[0]
    account = from_environment(attrs, "account_name", f"{_ENV}_ACCOUNT_NAME", first)
    if not account:
        raise InvalidRequest(
            "unable to retrieve account name from account url or "
            f"${{{_ENV}_ACCOUNT_NAME}} or account_name attribute for azblob cache"
        )
    secret = attrs.get("secret_access_key", "")
    return AzblobOptions(
        account_url=f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}",
        account=account,
        container=from_environment(attrs, "container", f"{_ENV}_CONTAINER", "buildkit-cache"),
        prefix=from_environment(attrs, "prefix", f"{_ENV}_PREFIX", ""),
        manifests_prefix=attrs.get("manifests_prefix", "manifests"),
        blobs_prefix=attrs.get("blobs_prefix", "blobs"),
        names=names(attrs),
        query=parts.query,
        key=SharedKey.parse(account, secret) if secret else None,
    )


def of_origin(origin: Mapping[str, str]) -> AzblobOptions:
    """Options to read blobs with the daemon's own identity, see `ObjectCache.origin`."""
    return AzblobOptions(
        account_url=origin["account_url"],
        account=origin["account_name"],
        container=origin["container"],
        prefix=origin["prefix"],
        manifests_prefix="",
        blobs_prefix=origin["blobs_prefix"],
        names=(),
    )


def _joined(*parts: str) -> str:
    """Paths joined as by Go's `filepath.Join`."""
    path = posixpath.normpath("/".join(part for part in parts if part))
    return f"/{path.lstrip('/')}" if path.startswith("/") else path
