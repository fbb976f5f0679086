"""Marshal ops to the bytes whose SHA-256 is their identity.

BuildKit's encoder writes a message's fields in ascending number, but members of a `oneof` after all
others. Python's writes strictly by number. For most messages that is the same; in `Op` the `oneof`
(2-8) stands before `platform` (10) and `constraints` (11), so it is marshalled in two parts.
"""

import hashlib

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
    return rest.SerializeToString(deterministic=True) + body.SerializeToString(deterministic=True)


def digest_bytes(data: bytes) -> str:
    """`sha256:` and the hex digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
