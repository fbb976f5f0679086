"""Marshal ops to the bytes whose SHA-256 is their identity.

BuildKit's encoder writes a message's fields in ascending number, but members of a `oneof` after all
others. Python's writes strictly by number. For most messages that is the same; in `Op` the `oneof`
(2-8) stands before `platform` (10) and `constraints` (11), so it is marshalled in two parts.
"""

from __future__ import annotations

from collections.abc import Sequence

from croze.api import ops_pb2


def marshal_op(op: ops_pb2.Op) -> bytes:
    """The canonical bytes of `op`, equal to what BuildKit's client writes."""
    kind = op.WhichOneof("op")
    if kind is None:
        return op.SerializeToString(deterministic=True)
    rest = ops_pb2.Op()
    rest.CopyFrom(op)
    rest.ClearField(kind)
    body = ops_pb2.Op()
    getattr(body, kind).CopyFrom(getattr(op, kind))
    return marshal_parts(rest, body)


def marshal_parts(head: ops_pb2.Op, body: ops_pb2.Op) -> bytes:
    """The canonical bytes of an op that is made in two halves: `body` has only the `oneof`, `head`
    the rest."""
    return head.SerializeToString(deterministic=True) + body.SerializeToString(deterministic=True)


def op_blobs(definition: ops_pb2.Definition) -> list[bytes]:
    """The marshalled ops of a definition. (The field's name is a Python keyword.)"""
    blobs: Sequence[bytes] = getattr(definition, "def")
    return list(blobs)


def definition_of(blobs: Sequence[bytes]) -> ops_pb2.Definition:
    """A definition of these ops, without metadata."""
    definition = ops_pb2.Definition()
    getattr(definition, "def").extend(blobs)
    return definition
