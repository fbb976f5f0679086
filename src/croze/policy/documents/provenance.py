"""What an image's provenance says (SLSA v1 and v0.2, as BuildKit writes them)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from croze.api import gateway_pb2
from croze.errors import CrozeError
from croze.gotypes import gojson
from croze.policy.contract import WARNING
from croze.policy.documents.document import Log, Material, given
from croze.policy.documents.materials import material_source

V1, V02 = "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"
_ANNOTATION = "in-toto.io/predicate-type"


class _Struct(msgspec.Struct, rename="camel"):
    pass


class _ConfigSource(_Struct):
    uri: str | None = None
    digest: dict[str, str] | None = None
    path: str | None = None
    entry_point: str | None = None


class _Parameters(_Struct):
    frontend: str | None = None
    args: dict[str, str] | None = None


class _Builder(_Struct):
    id: str | None = None


class _Descriptor(_Struct):
    uri: str | None = None
    digest: dict[str, str] | None = None


class _External(_Struct):
    config_source: _ConfigSource = msgspec.field(default_factory=_ConfigSource)
    request: _Parameters = msgspec.field(default_factory=_Parameters)


class _Definition(_Struct):
    build_type: str | None = None
    external_parameters: _External = msgspec.field(default_factory=_External)
    resolved_dependencies: list[_Descriptor] | None = None


class _Complete(_Struct):
    """How complete a predicate says that it is, of either version."""

    request: bool = False
    resolved_dependencies: bool = False
    parameters: bool = False
    environment: bool = False
    materials: bool = False


class _Metadata1(msgspec.Struct):
    invocationID: str | None = None
    startedOn: datetime | None = None
    finishedOn: datetime | None = None
    buildkit_hermetic: bool = False
    buildkit_reproducible: bool = False
    buildkit_completeness: _Complete = msgspec.field(default_factory=_Complete)


class _Run(_Struct):
    builder: _Builder = msgspec.field(default_factory=_Builder)
    metadata: _Metadata1 | None = None


class _Predicate1(_Struct):
    build_definition: _Definition = msgspec.field(default_factory=_Definition)
    run_details: _Run = msgspec.field(default_factory=_Run)


class _Invocation(_Struct):
    config_source: _ConfigSource = msgspec.field(default_factory=_ConfigSource)
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class _Metadata02(msgspec.Struct):
    buildInvocationID: str | None = None
    buildStartedOn: datetime | None = None
    buildFinishedOn: datetime | None = None
    reproducible: bool = False
    hermetic: bool = msgspec.field(
        default=False, name="https://mobyproject.org/buildkit@v1#hermetic"
    )
    completeness: _Complete = msgspec.field(default_factory=_Complete)


class _Predicate02(_Struct):
    builder: _Builder = msgspec.field(default_factory=_Builder)
    build_type: str | None = None
    invocation: _Invocation = msgspec.field(default_factory=_Invocation)
    materials: list[_Descriptor] | None = None
    metadata: _Metadata02 | None = None


class _Statement(_Struct):
    predicate_type: str | None = None
    predicate: msgspec.Raw = msgspec.Raw(b"")


Provenance = tuple[dict[str, object], list[Material]]


def provenance_of(chain: gateway_pb2.AttestationChain, log: Log) -> Provenance | None:
    """The first provenance of a chain that can be read; None if there is none."""
    for digest in sorted(chain.Blobs):
        blob = chain.Blobs[digest]
        kind = blob.descriptor.annotations.get(_ANNOTATION, "")
        if kind in (V1, V02) and blob.data:
            predicate = _read(blob.data, kind, log)
            if predicate is not None:
                return predicate
    return None


def _read(data: bytes, kind: str, log: Log) -> Provenance | None:
    try:
        statement = gojson.unmarshal(data, type=_Statement)
        match statement.predicate_type or kind:
            case "https://slsa.dev/provenance/v1":
                return _version1(gojson.unmarshal(statement.predicate, type=_Predicate1), log)
            case "https://slsa.dev/provenance/v0.2":
                return _version02(gojson.unmarshal(statement.predicate, type=_Predicate02), log)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return None


def _version1(predicate: _Predicate1, log: Log) -> Provenance | None:
    definition, run = predicate.build_definition, predicate.run_details
    if not definition.build_type and not run.builder.id:
        return None
    external = definition.external_parameters
    out = _common(V1, definition.build_type, run.builder.id)
    if run.metadata is not None:
        out |= _times(run.metadata.invocationID, run.metadata.startedOn, run.metadata.finishedOn)
    source = external.config_source
    out |= _asked(source, source.path, external.request)
    if run.metadata is not None:
        complete = run.metadata.buildkit_completeness
        out |= {
            "reproducible": run.metadata.buildkit_reproducible,
            "hermetic": run.metadata.buildkit_hermetic,
            "completeness": {
                "parameters": complete.request,
                "materials": complete.resolved_dependencies,
            },
        }
    return out, _materials(definition.resolved_dependencies, log)


def _version02(predicate: _Predicate02, log: Log) -> Provenance | None:
    if not predicate.build_type and not predicate.builder.id:
        return None
    out = _common(V02, predicate.build_type, predicate.builder.id)
    metadata = predicate.metadata
    if metadata is not None:
        out |= _times(metadata.buildInvocationID, metadata.buildStartedOn, metadata.buildFinishedOn)
    source = predicate.invocation.config_source
    out |= _asked(source, source.entry_point, predicate.invocation.parameters)
    if metadata is not None:
        complete = metadata.completeness
        out |= {
            "reproducible": metadata.reproducible,
            "hermetic": metadata.hermetic,
            "completeness": {
                "parameters": complete.parameters,
                "environment": complete.environment,
                "materials": complete.materials,
            },
        }
    return out, _materials(predicate.materials, log)


def _common(kind: str, build_type: str | None, builder: str | None) -> dict[str, object]:
    return given({"predicateType": kind, "buildType": build_type, "builderID": builder})


def _times(
    id: str | None, started: datetime | None, finished: datetime | None
) -> dict[str, object]:
    times = {"startedOn": _time(started), "finishedOn": _time(finished)}
    return given({"invocationID": id, **times})


def _time(when: datetime | None) -> str:
    if when is None:
        return ""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _asked(source: _ConfigSource, path: str | None, request: _Parameters) -> dict[str, object]:
    config = given({"uri": source.uri, "digest": source.digest, "path": path})
    args = request.args or {}
    members = given(
        {
            "frontend": request.frontend,
            "buildArgs": _build_args(args),
            "rawArgs": dict(sorted(args.items())),
        }
    )
    return {"configSource": config, **members}


def _build_args(args: Mapping[str, str]) -> dict[str, str]:
    prefix = "build-arg:"
    return {
        key.removeprefix(prefix): value
        for key, value in sorted(args.items())
        if key.startswith(prefix) and key != prefix
    }


def _materials(descriptors: list[_Descriptor] | None, log: Log) -> list[Material]:
    out = []
    for each in descriptors or ():
        material = Material(each.uri or "", dict(each.digest or {}))
        try:
            material_source(material)
        except CrozeError as error:
            shown = material.uri
            log(WARNING, f'skipping unsupported provenance material "{shown}": {error}')
            continue
        out.append(material)
    return out
