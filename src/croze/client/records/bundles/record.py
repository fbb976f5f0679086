"""A build record as bundles hold it: Go's JSON of the message, and of what the client remembers.

Members are named and ordered as Go's structs have them. What is not understood is refused.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec

from croze.api import control_pb2
from croze.api.attrs import of_attrs, to_attrs
from croze.errors import InvalidRequest
from croze.gotypes import gojson

MEDIA_TYPE = "application/vnd.buildkit.historyrecord.v0"


class _Struct(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is empty is left out, as Go's `omitempty`."""


class _Descriptor(_Struct):
    media_type: str = ""
    digest: str = ""
    size: int = 0
    annotations: dict[str, str] = {}


class _RecordInfo(_Struct):
    ResultDeprecated: _Descriptor | None = None
    Attestations: list[_Descriptor] = []
    Results: dict[str, _Descriptor] = {}


class _Moment(_Struct):
    seconds: int = 0
    nanos: int = 0


class _Exporter(_Struct):
    Type: str = ""
    Attrs: dict[str, str] = {}


class _Detail(_Struct):
    type_url: str = ""
    value: str = ""


class _Error(_Struct):
    code: int = 0
    message: str = ""
    details: list[_Detail] = []


class BundledState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the client's machine remembers of a build; see `builders.localstate`."""

    Target: str = ""
    LocalPath: str = ""
    DockerfilePath: str = ""
    GroupRef: str | msgspec.UnsetType = msgspec.UNSET


class BundledGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Builds of one Bake call."""

    Targets: list[str] | msgspec.UnsetType = msgspec.UNSET
    Refs: list[str] | None = None


class _Record(_Struct, kw_only=True):
    Ref: str = ""
    Frontend: str = ""
    FrontendAttrs: dict[str, str] = {}
    Exporters: list[_Exporter] = []
    error: _Error | None = None
    CreatedAt: _Moment | None = None
    CompletedAt: _Moment | None = None
    logs: _Descriptor | None = None
    ExporterResponse: dict[str, str] = {}
    Result: _RecordInfo | None = None
    Results: dict[str, _RecordInfo] = {}
    Generation: int = 0
    trace: _Descriptor | None = None
    pinned: bool = False
    numCachedSteps: int = 0
    numTotalSteps: int = 0
    numCompletedSteps: int = 0
    externalError: _Descriptor | None = None
    numWarnings: int = 0
    DefaultPlatform: str
    localState: BundledState | None = None
    stateGroup: BundledGroup | None = None


class Remembered(msgspec.Struct, frozen=True):
    """What the client's machine knew of a record besides: the build's paths, and its group."""

    platform: str = ""
    """The node's own."""
    state: BundledState | None = None
    group: BundledGroup | None = None


def encoded(record: control_pb2.BuildHistoryRecord, local: Remembered) -> bytes:
    """The JSON of a record, byte for byte as buildx writes it."""
    value = _Record(
        Ref=record.Ref,
        Frontend=record.Frontend,
        FrontendAttrs=of_attrs(record.FrontendAttrs),
        Exporters=[_Exporter(one.Type, of_attrs(one.Attrs)) for one in record.Exporters],
        error=_error(record) if record.HasField("error") else None,
        CreatedAt=_moment(record, "CreatedAt"),
        CompletedAt=_moment(record, "CompletedAt"),
        logs=_descriptor(record.logs) if record.HasField("logs") else None,
        ExporterResponse=dict(record.ExporterResponse),
        Result=_info(record.Result) if record.HasField("Result") else None,
        Results={key: _info(one) for key, one in record.Results.items()},
        Generation=record.Generation,
        trace=_descriptor(record.trace) if record.HasField("trace") else None,
        pinned=record.pinned,
        numCachedSteps=record.numCachedSteps,
        numTotalSteps=record.numTotalSteps,
        numCompletedSteps=record.numCompletedSteps,
        externalError=_descriptor(record.externalError)
        if record.HasField("externalError")
        else None,
        numWarnings=record.numWarnings,
        DefaultPlatform=local.platform,
        localState=local.state,
        stateGroup=local.group,
    )
    return gojson.marshal_indent(value)


def decoded(data: bytes) -> tuple[control_pb2.BuildHistoryRecord, Remembered]:
    """A build record, and what its client remembered, out of a bundle's JSON. Raises
    `InvalidRequest`."""
    try:
        read = gojson.unmarshal(data, type=_Record)
        record = _message(read)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidRequest(f"not a build record: {error}") from None
    return record, Remembered(read.DefaultPlatform, read.localState, read.stateGroup)


def _error(record: control_pb2.BuildHistoryRecord) -> _Error:
    status = record.error
    details = [
        _Detail(one.type_url, base64.b64encode(one.value).decode()) for one in status.details
    ]
    return _Error(status.code, status.message, details)


def _moment(record: control_pb2.BuildHistoryRecord, field: str) -> _Moment | None:
    if not record.HasField("CreatedAt" if field == "CreatedAt" else "CompletedAt"):
        return None
    at = record.CreatedAt if field == "CreatedAt" else record.CompletedAt
    return _Moment(at.seconds, at.nanos)


def _descriptor(one: control_pb2.Descriptor) -> _Descriptor:
    return _Descriptor(one.media_type, one.digest, one.size, dict(one.annotations))


def _info(info: control_pb2.BuildResultInfo) -> _RecordInfo:
    deprecated = _descriptor(info.ResultDeprecated) if info.HasField("ResultDeprecated") else None
    return _RecordInfo(
        deprecated,
        [_descriptor(one) for one in info.Attestations],
        {str(key): _descriptor(one) for key, one in info.Results.items()},
    )


def _message(read: _Record) -> control_pb2.BuildHistoryRecord:
    message = control_pb2.BuildHistoryRecord(
        Ref=read.Ref,
        Frontend=read.Frontend,
        FrontendAttrs=to_attrs(read.FrontendAttrs),
        Exporters=[
            control_pb2.Exporter(Type=one.Type, Attrs=to_attrs(one.Attrs)) for one in read.Exporters
        ],
        ExporterResponse=read.ExporterResponse,
        Results={key: _info_message(one) for key, one in read.Results.items()},
        Generation=read.Generation,
        pinned=read.pinned,
        numCachedSteps=read.numCachedSteps,
        numTotalSteps=read.numTotalSteps,
        numCompletedSteps=read.numCompletedSteps,
        numWarnings=read.numWarnings,
    )
    if read.error is not None:
        message.error.code, message.error.message = read.error.code, read.error.message
        for one in read.error.details:
            message.error.details.add(type_url=one.type_url, value=base64.b64decode(one.value))
    for at, moment in (
        (message.CreatedAt, read.CreatedAt),
        (message.CompletedAt, read.CompletedAt),
    ):
        if moment is not None:
            at.seconds, at.nanos = moment.seconds, moment.nanos
    for field, descriptor in (
        (message.logs, read.logs),
        (message.trace, read.trace),
        (message.externalError, read.externalError),
    ):
        if descriptor is not None:
            field.CopyFrom(_descriptor_message(descriptor))
    if read.Result is not None:
        message.Result.CopyFrom(_info_message(read.Result))
    return message


def _descriptor_message(one: _Descriptor) -> control_pb2.Descriptor:
    return control_pb2.Descriptor(
        media_type=one.media_type,
        digest=one.digest,
        size=one.size,
        annotations=one.annotations,
    )


def _info_message(info: _RecordInfo) -> control_pb2.BuildResultInfo:
    message = control_pb2.BuildResultInfo(
        Attestations=[_descriptor_message(one) for one in info.Attestations],
        Results={int(key): _descriptor_message(one) for key, one in info.Results.items()},
    )
    if info.ResultDeprecated is not None:
        message.ResultDeprecated.CopyFrom(_descriptor_message(info.ResultDeprecated))
    return message


def without_secrets(attrs: Mapping[str, str]) -> dict[str, str]:
    """A record's attributes as they may leave the machine: of imported caches only where they are,
    since their other attributes may hold keys."""
    shown = dict(attrs)
    if "cache-imports" in shown:
        try:
            entries = gojson.unmarshal(shown["cache-imports"], type=list[_CacheImport])
        except (msgspec.MsgspecError, RecursionError):
            shown["cache-imports"] = ""
        else:
            shown_imports = [_CacheImport(one.Type, _kept(one.Attrs)) for one in entries]
            shown["cache-imports"] = gojson.marshal(shown_imports).decode()
    return shown


class _CacheImport(msgspec.Struct, frozen=True):
    Type: str = ""
    Attrs: dict[str, str] | None = None


def _kept(attrs: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (attrs or {}).items() if key in ("scope", "ref")}
