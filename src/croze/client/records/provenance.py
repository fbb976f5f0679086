"""What the daemon's record says of how a build came to be, for the metadata file.

Source: buildx `build/provenance.go`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from croze.api import control_pb2
from croze.api.control_pb2_grpc import ControlStub
from croze.client.records.history import small_blob
from croze.errors import CrozeError, Unavailable, Unsupported
from croze.gotypes import gojson
from croze.gotypes.booleans import parse_bool
from croze.rpc.clients import translated
from croze.rpc.library import grpc

Mode = Literal["min", "max", "disabled"]

KEY = "buildx.build.provenance"
_V1 = "https://slsa.dev/provenance/v1"
_PREFIX = "https://slsa.dev/provenance/"
_PREDICATE_TYPE = "in-toto.io/predicate-type"
_IN_TOTO = "application/vnd.in-toto+json"
_BUILD_TYPE = "https://mobyproject.org/buildkit@v1"
_MAX = ("buildConfig", "metadata")


def metadata_mode() -> Mode:
    """How much provenance the metadata file is to have, by `BUILDX_METADATA_PROVENANCE`; what is
    none of its values is as if it were not there."""
    text = os.environ.get("BUILDX_METADATA_PROVENANCE", "")
    if text == "max":
        return "max"
    return "disabled" if text == "disabled" or parse_bool(text) is False else "min"


async def recorded(channel: grpc.aio.Channel, ref: str) -> list[control_pb2.BuildHistoryRecord]:
    """What the daemon has recorded of a build; none from a daemon without a history, or one that
    has left meanwhile: the build is done."""
    request = control_pb2.BuildHistoryRequest(Ref=ref, EarlyExit=True)
    try:
        with translated():
            events = ControlStub(channel).ListenBuildHistory(request)
            return [event.record async for event in events]
    except (Unsupported, Unavailable):
        return []


async def entries(
    channel: grpc.aio.Channel, records: Sequence[control_pb2.BuildHistoryRecord], mode: Mode
) -> dict[str, object]:
    """Entries of the metadata file, one for each platform."""
    metadata: dict[str, object] = {}
    for record in records:
        for key, info in _results(record).items():
            predicates = await _told(channel, info, mode)
            if predicates is not None:
                metadata[key] = predicates
    return metadata


def _results(
    record: control_pb2.BuildHistoryRecord,
) -> Mapping[str, control_pb2.BuildResultInfo]:
    if record.Results:
        return {f"{KEY}/{key}": info for key, info in record.Results.items()}
    return {KEY: record.Result} if record.HasField("Result") else {}


async def _told(channel: grpc.aio.Channel, info: control_pb2.BuildResultInfo, mode: Mode) -> object:
    for each in info.Attestations:
        kind = each.annotations.get(_PREDICATE_TYPE, "")
        if each.media_type == _IN_TOTO and kind.startswith(_PREFIX):
            predicate = await _predicate(channel, each.digest)
            return _shown(predicate if kind != _V1 else v02_of(predicate), mode)
    return None


async def _predicate(channel: grpc.aio.Channel, digest: str) -> dict[str, object]:
    """What a blob states. Raises `CrozeError`."""
    data = await small_blob(channel, digest)
    try:
        return gojson.unmarshal(data, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CrozeError(f"failed to unmarshal provenance {digest}: {error}") from None


def _shown(predicate: Mapping[str, object], mode: Mode) -> object:
    return {k: v for k, v in predicate.items() if mode == "max" or k not in _MAX}


def v02_of(predicate: Mapping[str, object]) -> dict[str, object]:
    """A v1 predicate in the words of v0.2."""
    definition, details = _inner(predicate, "buildDefinition"), _inner(predicate, "runDetails")
    external = _inner(definition, "externalParameters")
    internal = _inner(definition, "internalParameters")
    source = _inner(external, "configSource")
    environment = {k: v for k, v in internal.items() if k != "buildConfig"}
    environment["platform"] = environment.pop("builderPlatform", "")
    old: dict[str, object] = {
        "builder": {"id": _inner(details, "builder").get("id", "")},
        "buildType": _BUILD_TYPE,
    }
    if definition.get("resolvedDependencies"):
        old["materials"] = definition["resolvedDependencies"]
    old["invocation"] = {
        "configSource": {("entryPoint" if k == "path" else k): v for k, v in source.items()},
        "parameters": external.get("request", {}),
        "environment": environment,
    }
    if "buildConfig" in internal:
        old["buildConfig"] = internal["buildConfig"]
    return old | {"metadata": _metadata(_inner(details, "metadata"))}


def _metadata(predicates: Mapping[str, object]) -> dict[str, object]:
    complete = _inner(predicates, "buildkit_completeness")
    renamed = {
        "buildInvocationID": predicates.get("invocationId"),
        "buildStartedOn": predicates.get("startedOn"),
        "buildFinishedOn": predicates.get("finishedOn"),
        "completeness": {
            "parameters": complete.get("request", False),
            "environment": True,
            "materials": complete.get("resolvedDependencies", False),
        },
        "reproducible": predicates.get("buildkit_reproducible", False),
        f"{_BUILD_TYPE}#metadata": predicates.get("buildkit_metadata", {}),
        f"{_BUILD_TYPE}#hermetic": predicates.get("buildkit_hermetic"),
    }
    return {key: value for key, value in renamed.items() if value is not None}


def _inner(value: Mapping[str, object], key: str) -> Mapping[str, object]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}
