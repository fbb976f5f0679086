"""Exporters that a client adds to its build, and hears the end of (`moby.exporter.v1`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.api import exporter_pb2
from croze.errors import Unavailable, Unsupported
from croze.rpc.clients import translated
from croze.session.contract import Session

_SERVICE = "/moby.exporter.v1.Exporter"


async def find_exporters(
    session: Session, metadata: Mapping[str, bytes], refs: Sequence[str]
) -> Sequence[exporter_pb2.ExporterRequest]:
    """What the client wants done with a result besides what its request says. `refs` are the ids
    under which its frontend can look at the result."""
    call = session.channel.unary_unary(
        f"{_SERVICE}/FindExporters",
        exporter_pb2.FindExportersRequest.SerializeToString,
        exporter_pb2.FindExportersResponse.FromString,
    )
    request = exporter_pb2.FindExportersRequest(metadata=metadata, refs=refs)
    try:
        with translated():
            answer: exporter_pb2.FindExportersResponse = await call(request)
    except (Unsupported, Unavailable):
        return ()
    return tuple(answer.exporters)


async def finalize_export(session: Session, response: Mapping[str, str]) -> None:
    """Tell the client what its exporters answered. Raises what its callback raises."""
    call = session.channel.unary_unary(
        f"{_SERVICE}/FinalizeExport",
        exporter_pb2.FinalizeExportRequest.SerializeToString,
        exporter_pb2.FinalizeExportResponse.FromString,
    )
    try:
        with translated():
            await call(exporter_pb2.FinalizeExportRequest(exporter_response=response))
    except (Unsupported, Unavailable):
        return
