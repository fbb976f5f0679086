"""Definitions that name a session: its id stands in the ops of sources that it lends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.llb.marshal import definition_of, marshal_op, op_blobs

ATTRIBUTES: Final = ("local.session", "oci.session")


class SessionChange(Struct, frozen=True):
    """One session in the place of another."""

    old: str
    new: str

    def source(self, source: ops_pb2.SourceOp) -> ops_pb2.SourceOp:
        """The source as it is of the new session."""
        op = ops_pb2.SourceOp()
        op.CopyFrom(source)
        self._change(op)
        return op

    def definition(
        self, definition: ops_pb2.Definition
    ) -> tuple[ops_pb2.Definition, Mapping[str, str]]:
        """The definition that the new session's client would have got, and new digests by old ones.

        In the definition, inputs must stand before those that use them.
        """
        digests: dict[str, str] = {}
        blobs = []
        for blob in op_blobs(definition):
            changed = self._op(blob, digests)
            if changed is not None:
                digests[digest_of(blob)] = digest_of(changed)
            blobs.append(changed or blob)
        renamed = definition_of(blobs)
        for digest, metadata in definition.metadata.items():
            renamed.metadata[digests.get(digest, digest)].CopyFrom(metadata)
        if definition.HasField("Source"):
            self._places(definition.Source, renamed.Source, digests)
        return renamed, digests

    def _op(self, blob: bytes, digests: Mapping[str, str]) -> bytes | None:
        """The op anew; None if it stays as it is."""
        op = ops_pb2.Op.FromString(blob)
        changed = op.HasField("source") and self._change(op.source)
        for each in op.inputs:
            if each.digest in digests:
                each.digest = digests[each.digest]
                changed = True
        return marshal_op(op) if changed else None

    def _change(self, source: ops_pb2.SourceOp) -> bool:
        names = [name for name in ATTRIBUTES if source.attrs.get(name) == self.old]
        for name in names:
            source.attrs[name] = self.new
        return bool(names)

    def _places(self, old: ops_pb2.Source, new: ops_pb2.Source, digests: Mapping[str, str]) -> None:
        for digest, locations in old.locations.items():
            new.locations[digests.get(digest, digest)].CopyFrom(locations)
        for info in old.infos:
            new_info = new.infos.add()
            new_info.CopyFrom(info)
            if info.HasField("definition"):
                new_info.definition.CopyFrom(self.definition(info.definition)[0])
