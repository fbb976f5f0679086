"""The frontend's image config, completed: layers, history, times, inline cache.

Source: BuildKit `exporter/containerimage/writer.go`. Top level members that nobody knows stay, and
all of them come out sorted by name; what is inside them keeps its order.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.gotypes.moments import rfc3339_of
from croze.image import config as configs
from croze.image.config import HistoryEntry, ImageConfig, RootFS

INLINE_CACHE_KEY = "moby.buildkit.cache.v0"
_COMMENT = "buildkit.exporter.image.v0"


class LayerFacts(Struct, frozen=True):
    """What is known of a layer besides its bytes; `created` is RFC 3339."""

    created: str | None = None
    description: str = "created by buildkit"


def complete_history(
    history: Sequence[HistoryEntry], layers: Sequence[LayerFacts]
) -> tuple[HistoryEntry, ...]:
    """One row for every layer, and a time in every row where one can be known."""
    rows = _account_for_layers(list(history), layers)
    remaining_layers = iter(layers)
    rows = [
        row if row.empty_layer else _created(row, next(remaining_layers).created) for row in rows
    ]
    return tuple(_fill_times(rows))


def _created(row: HistoryEntry, when: str | None) -> HistoryEntry:
    return row if row.created else msgspec.structs.replace(row, created=when)


def _account_for_layers(
    rows: list[HistoryEntry], layers: Sequence[LayerFacts]
) -> list[HistoryEntry]:
    """Rows that claim layers which don't exist are marked empty; layers without a row get one."""
    claimed = 0
    for i, row in enumerate(rows):
        if row.empty_layer:
            continue
        if claimed >= len(layers):
            rows[i] = msgspec.structs.replace(row, empty_layer=True)
        else:
            claimed += 1
    missing = [
        HistoryEntry(created=layer.created, created_by=layer.description, comment=_COMMENT)
        for layer in layers[claimed:]
    ]
    return rows + missing


def _fill_times(rows: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """Rows without a time get that of the row before, or of the first new layer: the first row
    with a time after one without."""
    current: str | None = None
    missing = False
    for row in rows:
        if row.created is None:
            missing = True
        else:
            current = row.created
            if missing:
                break
    filled = []
    missing = False
    for row in rows:
        if row.created is None:
            missing = True
            filled.append(msgspec.structs.replace(row, created=current))
            continue
        if missing:
            current = row.created
        filled.append(row)
    return filled


def patch_config(
    config: bytes,
    diff_ids: Sequence[str],
    history: Sequence[HistoryEntry],
    *,
    epoch: datetime | None = None,
    base: ImageConfig | None = None,
    inline_cache: bytes | None = None,
) -> bytes:
    """The config as it is stored. `epoch` lowers every later time, but for the history of the
    base image. Raises `InvalidRequest` for one that is not a config."""
    members = _members(config)
    if epoch is not None:
        history = _lower(history, epoch, base)
        if "created" in members and _after(_text(members["created"]), epoch):
            members["created"] = gojson.marshal(rfc3339_of(epoch))
    if "created" not in members:
        times = [row.created for row in history if row.created]
        members["created"] = gojson.marshal(times[-1] if times else None)
    members["rootfs"] = gojson.marshal(RootFS("layers", tuple(diff_ids) or None))
    members["history"] = gojson.marshal(list(history) or None)
    if inline_cache is not None:
        text = base64.b64encode(inline_cache).decode()
        members[INLINE_CACHE_KEY] = gojson.marshal(text)
    return gojson.marshal_raw(members)


def checked(config: bytes) -> ImageConfig:
    """A frontend's image config. Raises `InvalidRequest` for one that no image can have."""
    if config.strip() == b"null":
        raise InvalidRequest("invalid null image config for export")
    image = configs.parse(config)
    if bool(image.os) != bool(image.architecture):
        raise InvalidRequest("invalid image config: os and architecture must be specified together")
    if not image.os:
        raise InvalidRequest("invalid image config for export: missing os")
    return image


def _members(config: bytes) -> dict[str, bytes]:
    checked(config)
    decoded = gojson.unmarshal(config, type=dict[str, msgspec.Raw])
    return {key: bytes(value) for key, value in decoded.items()}


def _text(data: bytes) -> str:
    value = gojson.unmarshal(data)
    return value if isinstance(value, str) else ""


def _after(text: str, epoch: datetime) -> bool:
    return bool(text) and configs.parse_time(text) > epoch


def _lower(
    history: Sequence[HistoryEntry], epoch: datetime, base: ImageConfig | None
) -> tuple[HistoryEntry, ...]:
    when = rfc3339_of(epoch)
    base_rows = base.history if base is not None else ()
    same = 0
    while same < min(len(base_rows), len(history)) and base_rows[same] == history[same]:
        same += 1
    return (
        *history[:same],
        *(
            msgspec.structs.replace(row, created=when)
            if row.created is None or _after(row.created, epoch)
            else row
            for row in history[same:]
        ),
    )
