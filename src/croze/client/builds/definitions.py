"""Definitions that others read: as JSON, and as a graph."""

from __future__ import annotations

import json
from collections.abc import Iterator

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.errors import InvalidRequest
from croze.gotypes import messages
from croze.gotypes.quote import quote
from croze.llb.marshal import op_blobs

_ACTION = ("input", "secondaryInput", "output")


def parse(data: bytes) -> ops_pb2.Definition:
    """The definition in marshalled bytes. Raises `InvalidRequest` for what is none."""
    try:
        definition = ops_pb2.Definition.FromString(data)
    except DecodeError as error:
        raise InvalidRequest(f"failed to parse the definition: {error}") from None
    if not op_blobs(definition):
        raise InvalidRequest("the definition is empty")
    return definition


def _ops(definition: ops_pb2.Definition) -> Iterator[tuple[str, ops_pb2.Op]]:
    for blob in op_blobs(definition):
        digest = digest_of(blob)
        try:
            yield digest, ops_pb2.Op.FromString(blob)
        except DecodeError as error:
            raise InvalidRequest(f"failed to parse op {digest}: {error}") from None


def dump(data: bytes) -> Iterator[str]:
    """One line of JSON an op: the op, its digest and its metadata."""
    definition = parse(data)
    for digest, op in _ops(definition):
        metadata = definition.metadata.get(digest) or ops_pb2.OpMetadata()
        yield json.dumps(
            {
                "Op": MessageToDict(op),
                "Digest": digest,
                "OpMetadata": MessageToDict(metadata, preserving_proto_field_name=True),
            }
        )


def listed(data: bytes) -> Iterator[str]:
    """One line of JSON an op, as `buildctl debug dump-llb` writes it; compare `dump`."""
    definition = parse(data)
    for digest, op in _ops(definition):
        metadata = definition.metadata.get(digest) or ops_pb2.OpMetadata()
        members = {
            "Op": _told(op),
            "Digest": digest,
            "OpMetadata": messages.message(metadata),
        }
        yield messages.encode(members).decode("utf-8", "surrogatepass")


def _told(op: ops_pb2.Op) -> dict[str, object]:
    """An op with all that Go's side writes of ops and actions, zero or not."""
    members = messages.message(op)
    inner = members.setdefault("Op", {})
    for action in inner.get("file", {}).get("actions", ()):
        before, action_of = dict(action), action.pop("Action", {})
        action.clear()
        action.update({name: before.get(name, 0) for name in _ACTION})
        action["Action"] = action_of
    order = ("inputs", "Op", "platform", "constraints")
    return {key: members[key] for key in order if key in members}


def dot(data: bytes) -> Iterator[str]:
    """Lines of a graph for Graphviz, as buildctl draws it."""
    ops = list(_ops(parse(data)))
    yield "digraph {"
    for digest, op in ops:
        label, shape = _drawn(digest, op)
        yield f"  {quote(digest)} [label={quote(label)} shape={quote(shape)}];"
    for digest, op in ops:
        for number, each in enumerate(op.inputs):
            label = ""
            for mount in op.exec.mounts:
                if mount.input == number and mount.dest != "/":
                    label = mount.dest
            yield f"  {quote(each.digest)} -> {quote(digest)} [label={quote(label)}];"
    yield "}"


def _drawn(digest: str, op: ops_pb2.Op) -> tuple[str, str]:
    match op.WhichOneof("op"):
        case "source":
            return op.source.identifier, "ellipse"
        case "exec":
            return " ".join(op.exec.meta.args), "box"
        case "build":
            return "build", "box3d"
        case "merge":
            return "merge", "invtriangle"
        case "diff":
            return "diff", "doublecircle"
        case "file":
            return ",".join(map(_action, op.file.actions)), "note"
    return digest, "plaintext"


def _action(action: ops_pb2.FileAction) -> str:
    match action.WhichOneof("action"):
        case "copy":
            return f"copy{{src={action.copy.src}, dest={action.copy.dest}}}"
        case "symlink":
            link = action.symlink
            return f"symlink{{oldpath={link.oldpath}, newpath={link.newpath}}}"
        case "mkfile":
            return f"mkfile{{path={action.mkfile.path}}}"
        case "mkdir":
            return f"mkdir{{path={action.mkdir.path}}}"
        case "rm":
            return f"rm{{path={action.rm.path}}}"
    return ""
