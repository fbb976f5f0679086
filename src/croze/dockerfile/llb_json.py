"""The reply to `frontend.convertllb`: a definition as JSON."""

from __future__ import annotations

from google.protobuf.json_format import MessageToDict

from croze.api import ops_pb2
from croze.dockerfile import go_json
from croze.llb.marshal import digest_bytes, op_blobs

VERSION = "0.1.0"


def convert_llb_reply(definition: ops_pb2.Definition) -> dict[str, bytes]:
    """Ops and metadata by digest. Ops and sources are in the protobuf JSON mapping, metadata has
    the field names of its `.proto`."""
    blobs = op_blobs(definition)
    ops = {digest_bytes(blob): ops_pb2.Op.FromString(blob) for blob in blobs}
    value = {
        "def": {digest: MessageToDict(ops[digest]) for digest in sorted(ops)},
        "metadata": {
            digest: go_json.message(definition.metadata[digest])
            for digest in sorted(definition.metadata)
        },
        "source": MessageToDict(definition.Source),
    }
    return {"result.json": go_json.dump(value), "version": VERSION.encode()}
