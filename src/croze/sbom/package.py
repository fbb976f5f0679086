"""A package as it was found, and its package URL (purl-spec)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec


class MalformedDatabase(Exception):
    """A database is none of its kind, or damaged."""


class Package(msgspec.Struct, frozen=True):
    """A package that was found. `evidence`: the path of a file that came with the package, for
    which layer it is from. `source`: the file that tells of it."""

    kind: str
    name: str
    version: str
    purl: str
    source: str
    evidence: str = ""
    license: str = ""
    supplier: str = ""


class Distribution(msgspec.Struct, frozen=True):
    """The distribution that `os-release` names. The id is what package URLs have for a
    namespace."""

    id: str = ""
    version: str = ""

    @property
    def named(self) -> str:
        """The id with the version: `debian-12`."""
        return "-".join(part for part in (self.id, self.version) if part)


def purl(
    kind: str,
    namespace: str,
    name: str,
    version: str,
    qualifiers: Mapping[str, str] | None = None,
) -> str:
    """A package URL. Empty parts are left out."""
    path = "/".join(quote(part, safe="") for part in (*namespace.split("/"), name) if part)
    at = f"@{quote(version, safe=':')}" if version else ""
    pairs = sorted((key, value) for key, value in (qualifiers or {}).items() if value)
    query = "&".join(f"{key}={quote(value, safe=':')}" for key, value in pairs)
    return f"pkg:{kind}/{path}{at}" + (f"?{query}" if query else "")
