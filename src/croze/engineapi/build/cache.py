"""`POST /build/prune`, and the build cache as `/system/df` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aiohttp import web

from croze.api import control_pb2
from croze.api.control_pb2_grpc import ControlStub
from croze.engineapi import filters
from croze.engineapi.answers import json
from croze.engineapi.query import UrlQuery
from croze.engineapi.services import Services
from croze.errors import InvalidRequest
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.moments import rfc3339
from croze.gotypes.quote import quote
from croze.rpc.clients import translated

LABELS = ("label", "label!")
"""What `docker system prune` asks of everything: no record has any."""
FILTERS = (
    "until",
    "unused-for",
    "id",
    "parent",
    "type",
    "description",
    "inuse",
    "shared",
    "private",
    *LABELS,
)
SPACES = {
    "reserved-space": ("reserved-space", "keep-storage"),
    "max-used-space": ("max-used-space",),
    "min-free-space": ("min-free-space",),
}


async def prune(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /build/prune`."""
    query = UrlQuery(request.query.items())
    message = prune_request(query)
    if "label" in filters.read(query.first("filters"), FILTERS):
        return json({"CachesDeleted": None, "SpaceReclaimed": 0})
    gone: list[str] = []
    reclaimed = 0
    with translated():
        async for record in ControlStub(services.channel).Prune(message):
            gone.append(record.ID)
            reclaimed += record.Size
    services.events.emit("builder", "prune", "", {"reclaimed": str(reclaimed)})
    return json({"CachesDeleted": gone or None, "SpaceReclaimed": reclaimed})


def prune_request(query: UrlQuery) -> control_pb2.PruneRequest:
    """What the parameters of `POST /build/prune` ask the daemon to remove. Raises
    `InvalidRequest`."""
    chosen = filters.read(query.first("filters"), FILTERS)
    if "until" in chosen and "unused-for" in chosen:
        raise InvalidRequest('conflicting filters "until" and "unused-for"')
    for name, values in chosen.items():
        if len(values) > 1 and name not in LABELS:
            raise InvalidRequest(f'"{name}" filter expects only one value')
    spaces = {key: _bytes(query, names) for key, names in SPACES.items()}
    return control_pb2.PruneRequest(
        all=query.is_set("all"),
        filter=[",".join(_terms(chosen))],
        keepDuration=_age_ns(chosen),
        reservedSpace=spaces["reserved-space"],
        maxUsedSpace=spaces["max-used-space"],
        minFreeSpace=spaces["min-free-space"],
    )


def _bytes(query: UrlQuery, names: Sequence[str]) -> int:
    for name in names:
        if text := query.first(name):
            if not (text.isdecimal() and len(text) < 19):
                raise InvalidRequest(f"{name} is in bytes and expects an integer, got {text}")
            return int(text)
    return 0


def _terms(chosen: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, values in chosen.items():
        if name in ("until", "unused-for", *LABELS):
            continue
        value = values[0] if values else ""
        if name in ("inuse", "shared", "private"):
            yield name if value in ("", "1", "true") else f"{name}!=true"
        else:
            yield f"{name}{'~=' if name == 'id' else '=='}{quote(value)}"


def _age_ns(chosen: Mapping[str, Sequence[str]]) -> int:
    for name in ("until", "unused-for"):
        for value in chosen.get(name, ()):
            try:
                return parse_duration(value)
            except DurationError as error:
                raise InvalidRequest(
                    f"\"{name}\" filter expects a duration (e.g., '24h'): {error}"
                ) from None
    return 0


async def usage(services: Services) -> list[dict[str, object]]:
    """The build cache's records, as `/system/df` has them."""
    with translated():
        records = await ControlStub(services.channel).DiskUsage(control_pb2.DiskUsageRequest())
    return [_record(each) for each in records.record]


def _record(record: control_pb2.UsageRecord) -> dict[str, object]:
    return {
        "ID": record.ID,
        "Parent": ",".join(record.Parents),
        "Parents": list(record.Parents) or None,
        "Type": record.RecordType,
        "Description": record.Description,
        "InUse": record.InUse,
        "Shared": record.Shared,
        "Size": record.Size,
        "CreatedAt": rfc3339(record.CreatedAt),
        "LastUsedAt": rfc3339(record.LastUsedAt) if record.HasField("LastUsedAt") else None,
        "UsageCount": record.UsageCount,
    }
