"""The lines of the user's files that an error is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.errors import CrozeError, SourceDetail, VertexDetail
from croze.rpc.details import source_detail


def locate(definition: ops_pb2.Definition, err: CrozeError) -> Iterator[SourceDetail]:
    """The places in the user's files, of all vertices that the error names."""
    infos = definition.Source.infos
    for detail in err.details:
        if isinstance(detail, VertexDetail):
            # The one given last is the innermost: BuildKit's clients show it first.
            for location in reversed(_locations(definition, detail.digest)):
                if 0 <= location.sourceIndex < len(infos):
                    yield source_detail(infos[location.sourceIndex], list(location.ranges))


def _locations(definition: ops_pb2.Definition, digest: str) -> Sequence[ops_pb2.Location]:
    """Frontends give no lines for what ADD downloads: there, those of the only step that reads it.
    What several steps read, such as the build context, is no one line's fault."""
    own = _listed(definition, digest)
    if own:
        return own
    readers = _readers(definition, digest)
    return _listed(definition, readers[0]) if len(readers) == 1 else ()


def _listed(definition: ops_pb2.Definition, digest: str) -> Sequence[ops_pb2.Location]:
    by_digest = definition.Source.locations
    return by_digest[digest].locations if digest in by_digest else ()


def _readers(definition: ops_pb2.Definition, digest: str) -> list[str]:
    """The ops with this download as an input; none for any other op."""
    readers, download = [], False
    for data in getattr(definition, "def"):
        name = digest_of(data)
        op = ops_pb2.Op.FromString(data)
        if name == digest:
            download = op.source.identifier.startswith(("http://", "https://", "git://"))
        elif any(i.digest == digest for i in op.inputs):
            readers.append(name)
    return readers if download else []
