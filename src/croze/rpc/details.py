"""The typed details of errors: BuildKit's, as they travel in a status, and ours.

An `Any` whose type URL is `github.com/moby/buildkit/errdefs.<Name>+json` and whose value is JSON
(`util/grpcerrors`, `solver/errdefs`). `Solve` is proto-JSON, the others use the field names of the
`.proto`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec.structs import asdict, fields

from croze import errors
from croze.files.settings import parse_json
from croze.gotypes.strings import shown

if TYPE_CHECKING:
    from google.protobuf import any_pb2

    from croze.api import ops_pb2

_BUILDKIT = "github.com/moby/buildkit/errdefs."

_DECISION = "github.com/moby/buildkit/policysession.DecisionResponse+json"

_STACK = "github.com/moby/buildkit/stack.Stack+json"

_DENY = 1


def encode(detail: errors.Detail) -> any_pb2.Any:
    """A detail as BuildKit sends it with a gRPC status: JSON of the Go type in its URL."""
    match detail:
        case errors.VertexDetail():
            return _any("Vertex", {"digest": detail.digest})
        case errors.FrontendCapDetail():
            return _any("FrontendCap", {"name": detail.name})
        case errors.SubrequestDetail():
            return _any("Subrequest", {"name": detail.name})
        case errors.CompatibilityDetail(version, feature):
            return _any("CompatibilityFeature", {"version": version, "feature": feature})
        case errors.MaterialsDetail(missing):
            from croze.gotypes.gojson import omit_empty  # for errors alone

            listed = [omit_empty(**asdict(each)) for each in missing]
            return _any("ProvenanceMaterialsIncomplete", {"incomplete": listed} if listed else {})
        case errors.SourceDetail():
            return _any("Source", _source_json(detail))
        case errors.SolveDetail():
            return _any("Solve", _solve_json(detail))
        case errors.StackDetail():
            return _packed(_STACK, _stack_json(detail))
        case errors.PolicyDetail():
            messages = [{"message": message} for message in detail.messages]
            return _packed(_DECISION, {"action": _DENY, "denyMessages": messages})


def _stack_json(detail: errors.StackDetail) -> dict[str, object]:
    frames = [{"Name": each.name, "File": each.file, "Line": each.line} for each in detail.frames]
    about = {"cmdline": list(detail.command), "pid": detail.pid, "version": detail.version}
    return {"frames": frames, **about}


def _any(name: str, value: dict[str, object]) -> any_pb2.Any:
    return _packed(f"{_BUILDKIT}{name}+json", value)


def _packed(type_url: str, value: dict[str, object]) -> any_pb2.Any:
    from google.protobuf import any_pb2

    return any_pb2.Any(type_url=type_url, value=json.dumps(value).encode())


def source_info(detail: errors.SourceDetail) -> ops_pb2.SourceInfo:
    """`pb.SourceInfo` of a detail; also what a warning carries."""
    from croze.api import ops_pb2

    name = shown(detail.filename)
    info = ops_pb2.SourceInfo(filename=name, data=detail.data, language=detail.language)
    if detail.definition:
        info.definition.ParseFromString(detail.definition)
    return info


def range_message(where: errors.Range) -> ops_pb2.Range:
    """A range of lines and columns on the wire."""
    from croze.api import ops_pb2

    return ops_pb2.Range(
        start=ops_pb2.Position(line=where.start.line, character=where.start.character),
        end=ops_pb2.Position(line=where.end.line, character=where.end.character),
    )


def _source_json(detail: errors.SourceDetail) -> dict[str, object]:
    from google.protobuf import json_format  # slow to import, and for errors alone

    from croze.api import errdefs_pb2

    message = errdefs_pb2.Source(
        info=source_info(detail), ranges=[range_message(where) for where in detail.ranges]
    )
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _solve_json(detail: errors.SolveDetail) -> dict[str, object]:
    from google.protobuf import json_format  # slow to import, and for errors alone

    from croze.api import errdefs_pb2

    message = errdefs_pb2.Solve(
        inputIDs=detail.input_ids, mountIDs=detail.mount_ids, description=detail.description
    )
    if detail.op:
        message.op.ParseFromString(detail.op)
    match detail.subject:
        case errors.FailedAction(index):
            message.file.index = index
        case errors.FailedContent(index):
            message.cache.index = index
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=False)


def load(value: bytes) -> dict[str, object]:
    """The members of a detail's JSON; none of what is no object."""
    try:
        loaded = parse_json(value)
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def decode(detail: any_pb2.Any) -> errors.Detail | None:
    """The detail that is told; None for one of no kind that is known here, or not of its form."""
    name = detail.type_url.removeprefix(_BUILDKIT).removesuffix("+json")
    value = load(detail.value)
    if detail.type_url == _DECISION:
        denials = _objects(value.get("denyMessages"))
        return errors.PolicyDetail(tuple(str(each.get("message", "")) for each in denials))
    if detail.type_url == _STACK:
        return _decode_stack(value)
    match name:
        case "Vertex":
            return errors.VertexDetail(str(value.get("digest", "")))
        case "FrontendCap":
            return errors.FrontendCapDetail(str(value.get("name", "")))
        case "Subrequest":
            return errors.SubrequestDetail(str(value.get("name", "")))
        case "CompatibilityFeature":
            version, feature = value.get("version", 0), value.get("feature", "")
            number = version if isinstance(version, int) else 0
            return errors.CompatibilityDetail(number, str(feature))
        case "ProvenanceMaterialsIncomplete":
            return _decode_materials(value.get("incomplete"))
        case "Source":
            return _decode_source(detail.value)
        case "Solve":
            return _decode_solve(detail.value)
    return None


def _objects(listed: object) -> list[dict[str, object]]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _decode_stack(value: dict[str, object]) -> errors.StackDetail | None:
    words, pid = value.get("cmdline"), value.get("pid", 0)
    frames = [
        errors.StackFrame(
            str(each.get("Name", "")),
            str(each.get("File", "")),
            line if isinstance(line, int) else 0,
        )
        for each in _objects(value.get("frames"))
        for line in (each.get("Line", 0),)
    ]
    if not frames:
        return None
    return errors.StackDetail(
        tuple(frames),
        tuple(str(word) for word in words) if isinstance(words, list) else (),
        pid if isinstance(pid, int) else 0,
        str(value.get("version", "")),
    )


def _decode_materials(listed: object) -> errors.MaterialsDetail:
    return errors.MaterialsDetail(
        tuple(
            errors.MissingMaterial(
                **{f.name: str(each.get(f.name, "")) for f in fields(errors.MissingMaterial)}
            )
            for each in _objects(listed)
        )
    )


def _decode_source(value: bytes) -> errors.SourceDetail | None:
    from google.protobuf import json_format  # slow to import, and for errors alone

    from croze.api import errdefs_pb2

    message = errdefs_pb2.Source()
    try:
        json_format.Parse(value, message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError):  # the latter for what is not UTF-8
        return None
    return source_detail(message.info, list(message.ranges))


def source_detail(info: ops_pb2.SourceInfo, ranges: list[ops_pb2.Range]) -> errors.SourceDetail:
    return errors.SourceDetail(
        filename=info.filename,
        data=info.data,
        ranges=tuple(own_range(where) for where in ranges),
        language=info.language,
        definition=info.definition.SerializeToString() if info.HasField("definition") else b"",
    )


def own_range(where: ops_pb2.Range) -> errors.Range:
    """A range of lines and columns from the wire."""
    return errors.Range(
        errors.Position(where.start.line, where.start.character),
        errors.Position(where.end.line, where.end.character),
    )


def _decode_solve(value: bytes) -> errors.SolveDetail | None:
    from google.protobuf import json_format  # slow to import, and for errors alone

    from croze.api import errdefs_pb2

    message = errdefs_pb2.Solve()
    try:
        json_format.Parse(value, message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError):  # the latter for what is not UTF-8
        return None
    return errors.SolveDetail(
        op=message.op.SerializeToString() if message.HasField("op") else b"",
        description=dict(message.description),
        input_ids=tuple(message.inputIDs),
        mount_ids=tuple(message.mountIDs),
    )
