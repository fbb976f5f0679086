"""What the attributes of a `local://` source say, and its key.

The key (BuildKit `source/local`) is of what was asked for, not of what is there: it is private to
the daemon, and what uses the directory is keyed by its contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from croze.cachekeys.texts import noted_digest
from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.gotypes.booleans import checked_bool
from croze.gotypes.quote import quote
from croze.sources.request import SourceRequest

SCHEME = "local"


class LocalOptions(Struct, frozen=True):
    """What the attributes of a local source say. None for lists that were not given."""

    name: str
    session: str = ""
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    follow_paths: tuple[str, ...] | None = None
    shared_key_hint: str = ""
    differ: Literal["metadata", "none"] = "metadata"
    metadata_only: bool = False
    metadata_exceptions: tuple[str, ...] | None = None


class _LocalKey(msgspec.Struct, rename="pascal"):
    """Field order is part of the key."""

    session_id: str = msgspec.field(name="SessionID")
    include_patterns: tuple[str, ...] | None
    exclude_patterns: tuple[str, ...] | None
    follow_paths: tuple[str, ...] | None
    metadata_transfer: bool | msgspec.UnsetType = msgspec.UNSET
    metadata_exceptions: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


def local_key(options: LocalOptions, session: str) -> str:
    """A text for the cache key: of what was asked for, not of what is there."""
    fields = _LocalKey(
        session,
        options.include,
        options.exclude,
        options.follow_paths,
        options.metadata_only or msgspec.UNSET,
        options.metadata_exceptions or msgspec.UNSET,
    )
    digest = noted_digest(gojson.marshal(fields), "json")
    return f"session:{options.name}:{digest}"


def parse_options(request: SourceRequest) -> LocalOptions:
    """Read a source op. Raises `InvalidRequest`."""
    name = request.identifier.partition("://")[2]
    attrs = request.attrs
    session = attrs.get("local.session", "")
    prefix, colon, rest = session.partition(":")
    if colon:
        name, session = f"{prefix}-{name}", rest
    return LocalOptions(
        name,
        session,
        _strings(attrs, "local.includepattern"),
        _strings(attrs, "local.excludepatterns"),
        _strings(attrs, "local.followpaths"),
        attrs.get("local.sharedkeyhint", ""),
        "none" if attrs.get("local.differ") == "none" else "metadata",
        _boolean(attrs, "local.metadatatransfer"),
        _strings(attrs, "local.metadatatransferexclude"),
    )


def _strings(attrs: Mapping[str, str], key: str) -> tuple[str, ...] | None:
    if key not in attrs:
        return None
    try:
        return gojson.unmarshal(attrs[key], type=tuple[str, ...] | None)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise InvalidRequest(f"invalid value for {key}: {err}") from err


def _boolean(attrs: Mapping[str, str], key: str) -> bool:
    text = attrs.get(key, "false")
    return checked_bool(text, f"invalid value for {key} {quote(text)}")
