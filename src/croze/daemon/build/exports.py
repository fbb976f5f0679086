"""Exporters of a build: those that its request asks for, those that the client adds when it knows
the result, and all of them at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from croze.api import control_pb2
from croze.api.attrs import of_attrs
from croze.daemon.engine.build_services import BuildServices
from croze.export.contract import ExportContext, Exporter, ExportSource, InlineCache
from croze.export.open import open_exporter
from croze.export.options import is_epoch
from croze.gateway.results import BridgeResult
from croze.session.exporters import find_exporters
from croze.solver.contract import OpContext
from croze.solver.solver import Job


class WantedExport(Struct, frozen=True):
    """An exporter and its id in the request."""

    id: str
    exporter: Exporter


def wanted_exports(
    services: BuildServices, request: control_pb2.SolveRequest
) -> list[WantedExport]:
    """The request's exporters, opened."""
    return opened(services, asked_exports(request), first_id=0)


def asked_exports(request: control_pb2.SolveRequest) -> list[tuple[str, dict[str, str]]]:
    """Types and attributes of the request's exporters, also in the form that older clients use.
    A build argument SOURCE_DATE_EPOCH that is a time is theirs too, whatever the frontend."""
    exports = [(e.Type, of_attrs(e.Attrs)) for e in request.Exporters]
    if not exports and request.ExporterDeprecated:
        exports = [(request.ExporterDeprecated, of_attrs(request.ExporterAttrsDeprecated))]
    epoch = of_attrs(request.FrontendAttrs).get("build-arg:SOURCE_DATE_EPOCH")
    if epoch is not None and is_epoch(epoch):
        for _, attrs in exports:
            attrs.setdefault("source-date-epoch", epoch)
    return exports


async def session_exports(
    services: BuildServices,
    request: control_pb2.SolveRequest,
    result: BridgeResult,
    *,
    first_id: int,
) -> list[WantedExport]:
    """What the client adds when it knows the result."""
    if not request.EnableSessionExporter:
        return []
    session = await services.engine.sessions.get(request.Session)
    refs = [ref.id for ref in result.by_key().values() if ref is not None]
    exporters = await find_exporters(session, result.metadata, refs)
    return opened(services, [(e.Type, of_attrs(e.Attrs)) for e in exporters], first_id=first_id)


def opened(
    services: BuildServices, exporters: Sequence[tuple[str, Mapping[str, str]]], *, first_id: int
) -> list[WantedExport]:
    """Exporters of these types and attributes, numbered."""
    return [
        WantedExport(str(first_id + number), open_exporter(kind, attrs, services.export_services))
        for number, (kind, attrs) in enumerate(exporters)
    ]


async def export_all(
    job: Job,
    session: str,
    exports: Sequence[WantedExport],
    source: ExportSource,
    warnings: Sequence[str],
    inline_cache: Callable[[OpContext], InlineCache | None],
    compatibility: int,
) -> list[Mapping[str, str]]:
    """Run all exporters at once; their answers in the request's order. `warnings` about the result
    are shown with the first."""

    async def export(one: WantedExport) -> Mapping[str, str]:
        async def deliver(ctx: OpContext) -> Mapping[str, str]:
            for text in warnings if one is exports[0] else ():
                ctx.progress.warn(text)
            context = ExportContext(
                session=session,
                sessions=ctx.sessions(),
                progress=ctx.progress,
                id=one.id,
                compatibility=compatibility,
                inline_cache=inline_cache(ctx),
            )
            return await one.exporter.export(source, context)

        return await job.in_context(one.exporter.name, deliver)

    if len(exports) == 1:
        return [await export(exports[0])]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(export(one)) for one in exports]
    return [task.result() for task in tasks]
