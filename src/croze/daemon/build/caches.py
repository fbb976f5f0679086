"""External caches of a build: what is asked for, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from croze.aio.parallel import first_error
from croze.api import control_pb2, ops_pb2
from croze.api.attrs import of_attrs
from croze.errors import CrozeError
from croze.export.contract import InlineCache
from croze.export.result_metadata import platform_entries
from croze.gateway.imports import CacheImport
from croze.gateway.results import BridgeResult
from croze.ops.load import cache_mounts
from croze.ops.results import ref_of
from croze.remotecache.exporter import CacheExporter, CacheServices, inline_cache
from croze.remotecache.mounts.carried import BuildMounts
from croze.remotecache.mounts.exporting import MountsExport
from croze.remotecache.mounts.options import MountOptions
from croze.remotecache.options import CacheExports, ExportOptions, parse_exports
from croze.solver.chain import Chain
from croze.solver.contract import OpContext
from croze.solver.solver import Job
from croze.status import step


def wanted_exports(cache: control_pb2.CacheOptions) -> CacheExports:
    """The caches that a request exports to, also in the form that older clients use. Raises
    `InvalidRequest`."""
    entries = [(entry.Type, of_attrs(entry.Attrs)) for entry in cache.Exports]
    if cache.ExportRefDeprecated:
        attrs = {**cache.ExportAttrsDeprecated, "ref": cache.ExportRefDeprecated}
        entries.append(("registry", attrs))
    return parse_exports(entries)


async def check_exports(services: CacheServices, exports: CacheExports) -> None:
    """See that the caches can be had, before something is built for them. Raises `CrozeError`."""
    for export in exports.others:
        if export.place is not None:
            try:
                await services.objects.open(export.place)
            except CrozeError as err:
                raise err.wrap(f"failed to configure {export.kind} cache exporter") from None


def wanted_imports(cache: control_pb2.CacheOptions) -> list[CacheImport]:
    """The caches that a request imports, also in the form that older clients use."""
    imports = [CacheImport(entry.Type, of_attrs(entry.Attrs)) for entry in cache.Imports]
    imports += [CacheImport("registry", {"ref": ref}) for ref in cache.ImportRefsDeprecated]
    return imports


class BuildCaches:
    """The caches that one build exports, from the results that it made. `definitions`: all that it
    was made of."""

    def __init__(
        self,
        services: CacheServices,
        exports: CacheExports,
        job: Job,
        session: str,
        mounts: BuildMounts,
        definitions: Callable[[], Iterable[ops_pb2.Definition]],
    ) -> None:
        self._services = services
        self._exports = exports
        self._job = job
        self._session = session
        self._mounts = mounts
        self._definitions = definitions

    async def export(self, result: BridgeResult) -> list[Mapping[str, str]]:
        """Run all exporters but inline at once; their answers in the request's order."""
        if not self._exports.others:
            return []
        chains = list((await self._chains(result)).values())
        async with first_error(), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._export(options, chains)) for options in self._exports.others
            ]
        return [task.result() for task in tasks]

    def inline(self, result: BridgeResult, ctx: OpContext) -> InlineCache | None:
        """The cache that goes into an image: see `ExportContext.inline_cache`."""
        if not self._exports.inline:
            return None

        async def found() -> Mapping[str, bytes]:
            async with step(ctx.progress, "preparing layers for inline cache"):
                return await self._inline(result, ctx.sessions())

        return found

    async def _inline(self, result: BridgeResult, sessions: Sequence[str]) -> Mapping[str, bytes]:
        records = {}
        for key, chain in (await self._chains(result)).items():
            ref = result.by_key()[key]
            image = ref_of((await ref.evaluate()).result) if ref is not None else None
            data = await inline_cache(self._services, chain, image, sessions)
            if data is not None:
                records[key] = data
        if result.refs is None and "" in records:
            return dict.fromkeys(platform_entries(result.metadata) or ("",), records[""])
        return records

    async def _export(self, options: ExportOptions, chains: Sequence[Chain]) -> Mapping[str, str]:
        async def export(ctx: OpContext) -> Mapping[str, str]:
            sessions = ctx.sessions()
            beside = self._beside(options.mounts, sessions) if options.mounts else None
            exporter = CacheExporter(self._services, options, self._session, sessions, beside)
            return await exporter.export(chains, ctx.progress)

        try:
            return await self._job.in_context(options.name, export)
        except CrozeError:
            if options.ignore_error:
                return {}
            raise

    def _beside(self, options: MountOptions, sessions: Sequence[str]) -> MountsExport:
        used = cache_mounts(self._definitions())
        return MountsExport(self._mounts.services, self._mounts, options, used, sessions)

    async def _chains(self, result: BridgeResult) -> dict[str, Chain]:
        """The records of each platform's result."""
        return {
            key: self._job.chain((await ref.evaluate()).edge)
            for key, ref in result.by_key().items()
            if ref is not None
        }
