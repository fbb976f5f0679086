"""What builders answer, as plain values. Sizes are in bytes, times are in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.api.attrs import of_attrs
from croze.gotypes.moments import utc_moment
from croze.progress.events import BuildWarning

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from croze.api import control_pb2
    from croze.client.builds.result import BuildResult

_CANCELLED = 1
"""gRPC's number for it."""


class Result(Struct, frozen=True):
    """What came of a build. `digest` is the image's (of its index, if it has one), `image_id` the
    configuration's; both are empty if no image was made. `metadata` is what `--metadata-file`
    gets."""

    ref: str
    digest: str
    image_id: str
    names: tuple[str, ...]
    metadata: Mapping[str, object]
    warnings: tuple[BuildWarning, ...]

    def _repr_html_(self) -> str:
        """The result as notebooks show it."""
        from croze.sdk.html import result_html

        return result_html(self.names, self.digest, self.ref, self.warnings)


def result_of(built: BuildResult, warnings: tuple[BuildWarning, ...]) -> Result:
    """A result of the client's as a program sees it."""
    names = built.response.get("image.name", "")
    return Result(
        built.ref,
        built.digest,
        built.image_id,
        tuple(name for name in names.split(",") if name),
        built.metadata,
        warnings,
    )


class BuildStatus(StrEnum):
    """The status of a build on record."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class BuildRecord(Struct, frozen=True):
    """A build on record. `options` are the frontend's attributes (`build-arg:X`, `target`, …)."""

    ref: str
    status: BuildStatus
    created_at: datetime
    completed_at: datetime | None
    error: str
    steps: int
    cached_steps: int
    completed_steps: int
    options: Mapping[str, str]


def record_of(record: control_pb2.BuildHistoryRecord) -> BuildRecord:
    """A record of the history as programs see it."""
    return BuildRecord(
        ref=record.Ref,
        status=_status(record),
        created_at=_moment(record.CreatedAt),
        completed_at=_moment(record.CompletedAt) if record.HasField("CompletedAt") else None,
        error=record.error.message,
        steps=record.numTotalSteps,
        cached_steps=record.numCachedSteps,
        completed_steps=record.numCompletedSteps,
        options=of_attrs(record.FrontendAttrs),
    )


def _status(record: control_pb2.BuildHistoryRecord) -> BuildStatus:
    if not record.HasField("CompletedAt"):
        return BuildStatus.RUNNING
    if not record.HasField("error"):
        return BuildStatus.COMPLETED
    return BuildStatus.CANCELED if record.error.code == _CANCELLED else BuildStatus.FAILED


class CacheRecord(Struct, frozen=True):
    """A row of `du`. `kind` is such as `regular`, `source.local`, `exec.cachemount`."""

    id: str
    size: int
    kind: str
    description: str
    parents: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    usage_count: int
    mutable: bool
    in_use: bool
    shared: bool


def cache_record(record: control_pb2.UsageRecord) -> CacheRecord:
    """A record of the cache as programs see it."""
    return CacheRecord(
        id=record.ID,
        size=record.Size,
        kind=record.RecordType,
        description=record.Description,
        parents=tuple(record.Parents),
        created_at=_moment(record.CreatedAt),
        last_used_at=_moment(record.LastUsedAt) if record.HasField("LastUsedAt") else None,
        usage_count=record.UsageCount,
        mutable=record.Mutable,
        in_use=record.InUse,
        shared=record.Shared,
    )


def _moment(stamp: Timestamp) -> datetime:
    return utc_moment(stamp.seconds, stamp.nanos)
