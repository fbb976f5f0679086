"""The reply to `frontend.convertllb`: a definition as JSON."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.dockerfile import json_values
from croze.gotypes import gojson
from croze.llb.marshal import op_blobs

VERSION = "0.1.0"


def convert_llb_reply(definition: ops_pb2.Definition) -> dict[str, bytes]:
    """Ops and metadata by digest. Ops and sources are in the protobuf JSON mapping, metadata has
    the field names of its `.proto`."""
    blobs = op_blobs(definition)
    ops = {digest_of(blob): ops_pb2.Op.FromString(blob) for blob in blobs}
    value = {
        "def": {digest: _mapping(ops[digest], ops_pb2.Op.DESCRIPTOR) for digest in sorted(ops)},
        "metadata": {
            digest: json_values.message(definition.metadata[digest])
            for digest in sorted(definition.metadata)
        },
        "source": _mapping(definition.Source, ops_pb2.Source.DESCRIPTOR),
    }
    return {"result.json": gojson.marshal_indent_as_is(value), "version": VERSION.encode()}


def _mapping(message: Message, descriptor: Descriptor) -> dict[str, object]:
    """The JSON mapping with maps in the order of their keys, as Go has it."""
    from google.protobuf.json_format import MessageToDict  # slow to import, and for few

    value: dict[str, object] = MessageToDict(message)
    _sort_maps(value, descriptor)
    return value


def _sort_maps(value: dict[str, object], descriptor: Descriptor) -> None:
    for field in descriptor.fields:
        inner, kind = value.get(field.json_name), field.message_type
        if inner is None or kind is None:
            continue
        if kind.GetOptions().map_entry and isinstance(inner, dict):
            value[field.json_name] = {key: inner[key] for key in sorted(inner)}
            kind = kind.fields_by_name["value"].message_type
            inner = [*inner.values()] if kind is not None else []
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, dict) and kind is not None:
                _sort_maps(each, kind)
