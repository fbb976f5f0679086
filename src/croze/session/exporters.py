"""Exporters that a client adds to its build, and hears the end of (`moby.exporter.v1`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.api import exporter_pb2
from croze.errors import Unavailable, Unsupported
from croze.session.contract import Session

_SERVICE = "/moby.exporter.v1.Exporter"


async def find_exporters(
    session: Session, metadata: Mapping[str, bytes], refs: Sequence[str]
) -> Sequence[exporter_pb2.ExporterRequest]:
    """What the client wants done with a result besides what its request says. `refs` are the ids
    under which its frontend can look at the result."""
    request = exporter_pb2.FindExportersRequest(metadata=metadata, refs=refs)
    try:
        answer = await session.calls.ask(
            f"{_SERVICE}/FindExporters", request, exporter_pb2.FindExportersResponse
        )
    except (Unsupported, Unavailable):
        return ()
    return tuple(answer.exporters)


async def finalize_export(session: Session, response: Mapping[str, str]) -> None:
    """Tell the client what its exporters answered. Raises what its callback raises."""
    request = exporter_pb2.FinalizeExportRequest(exporter_response=response)
    try:
        await session.calls.ask(
            f"{_SERVICE}/FinalizeExport", request, exporter_pb2.FinalizeExportResponse
        )
    except (Unsupported, Unavailable):
        return
