"""`croze.v1.CacheMounts`: the cache mounts there are; written to caches and merged from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from croze.api import cachemounts_pb2 as wire
from croze.api import cachemounts_pb2_grpc
from croze.api.attrs import of_attrs
from croze.daemon.build.status import timestamp
from croze.daemon.engine.build_services import BuildServices
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.fs.tree.usage import usage
from croze.remotecache.exporter import RESPONSE_KEY, CacheExporter
from croze.remotecache.mounts.carried import BuildMounts, summary
from croze.remotecache.mounts.exporting import MountsExport
from croze.remotecache.mounts.merging import MountOffer, bring
from croze.remotecache.mounts.options import ALL, MOUNTS, MountOptions, mount_options, shown
from croze.remotecache.options import parse_exports
from croze.rpc.servers import Context, aborting, unary
from croze.status import Silent
from croze.store.cachemount_contract import CacheMountInfo
from croze.store.contract import ImmutableRef, Sharing

Work = Callable[["CallProgress"], Awaitable[None]]


class CacheMountsService(cachemounts_pb2_grpc.CacheMountsServicer):
    """The `CacheMounts` service: lists, writes, merges and removes cache mounts for `croze
    cache-mount`."""

    def __init__(self, build_services: BuildServices) -> None:
        self._build_services = build_services
        self._services = build_services.mount_services

    @unary
    async def List(
        self, request: wire.ListCacheMountsRequest, context: Context
    ) -> wire.ListCacheMountsResponse:
        described = [await self._described(each) for each in self._named(request.names)]
        return wire.ListCacheMountsResponse(mounts=described)

    @unary
    async def Remove(
        self, request: wire.RemoveCacheMountsRequest, context: Context
    ) -> wire.RemoveCacheMountsResponse:
        mounts = self._named(request.names)
        if busy := sorted({shown(each.id) for each in mounts if each.in_use}):
            raise InvalidRequest(f"cache mount {', '.join(busy)} is in use")
        ids = sorted({each.id for each in mounts})
        await self._services.store.forget(ids)
        return wire.RemoveCacheMountsResponse(ids=[shown(id) for id in ids])

    async def Export(  # type: ignore[override]  # answers through `context.write`
        self, request: wire.MoveCacheMountsRequest, context: Context
    ) -> None:
        await self._tell(context, lambda telling: self._export(request, telling))

    async def Import(  # type: ignore[override]  # answers through `context.write`
        self, request: wire.MoveCacheMountsRequest, context: Context
    ) -> None:
        await self._tell(context, lambda telling: self._import(request, telling))

    async def _tell(self, context: Context, work: Work) -> None:
        async with aborting(context):
            telling = CallProgress()
            with self._build_services.engine.activity.one():
                async with asyncio.TaskGroup() as group:
                    group.create_task(telling.during(work))
                    async for message in telling:
                        await context.write(message)

    def _named(self, names: Sequence[str]) -> list[CacheMountInfo]:
        """The cache mounts that any of the names means, or all without a name. Raises `NotFound`
        for a name that means none."""
        options, mounts = MountOptions(tuple(names) or (ALL,)), self._services.store.all()
        if unknown := options.unknown(each.id for each in mounts):
            raise NotFound(f"no such cache mount: {', '.join(unknown)}")
        return [each for each in mounts if options.wants(each.id)]

    async def _described(self, mount: CacheMountInfo) -> wire.CacheMount:
        used = wire.CacheMount(
            id=shown(mount.id),
            record=mount.ref_id,
            base=mount.base_id,
            description=mount.description,
            in_use=mount.in_use,
            usage_count=mount.usage_count,
            created_at=timestamp(mount.created_at),
            last_used_at=timestamp(mount.last_used_at),
        )
        path = self._services.store.path(mount.ref_id)
        measured = await self._services.pool.run(usage, str(path))
        used.size, used.entries = measured.size_bytes, max(0, measured.inodes - 1)
        return used

    async def _export(self, request: wire.MoveCacheMountsRequest, telling: CallProgress) -> None:
        mounts = self._named(request.names)
        if not mounts:
            raise NotFound("there are no cache mounts to export")
        attrs = {**of_attrs(request.attrs), MOUNTS: ",".join(request.names) or ALL}
        (options,) = parse_exports([(request.type, attrs)]).others or (None,)
        if options is None or options.mounts is None:
            raise InvalidRequest(f"{request.type} is no cache that mounts can be exported to")
        sessions = (request.session,)
        export = MountsExport(
            self._services,
            BuildMounts(self._services),
            options.mounts,
            {each.id: Sharing.SHARED for each in mounts},
            sessions,
        )
        exporter = CacheExporter(
            self._build_services.cache_services, options, request.session, sessions, export
        )
        response = await exporter.export([], telling)
        telling.put(wire.Said(manifest=response.get(RESPONSE_KEY, "").encode()))

    async def _import(self, request: wire.MoveCacheMountsRequest, telling: CallProgress) -> None:
        attrs = {**of_attrs(request.attrs), MOUNTS: ",".join(request.names) or ALL}
        options, sessions = mount_options(attrs), (request.session,)
        assert options is not None
        carried = BuildMounts(self._services)
        for cache in await self._build_services.importer.open(
            request.type, attrs, session=request.session, sessions=sessions, progress=telling
        ):
            await carried.look_into(cache, options, sessions)
        offers = [offer for source in carried.sources for offer in source.offers(self._services)]
        if not offers:
            raise NotFound("the cache has no such cache mounts")
        if unknown := options.unknown(offer.mount.id for offer in offers):
            raise NotFound(f"the cache has no such cache mount: {', '.join(unknown)}")
        failed = [name for offer in offers if (name := await self._bring(offer, sessions, telling))]
        if failed:
            raise InvalidRequest(f"failed to import cache mount {', '.join(failed)}")

    async def _bring(
        self, offer: MountOffer, sessions: Sequence[str], telling: CallProgress
    ) -> str:
        """The name of a mount that could not be brought."""
        name, base = shown(offer.mount.id), None
        try:
            if offer.mount.base:
                base = await self._base(offer)
            brought = await bring(
                self._services, offer, base, Sharing.SHARED, sessions=sessions,
                description=f"cached mount {name}, imported",
            )  # fmt: skip
            telling.say(summary(name, brought) if brought else f"cache mount {name} has all of it")
        except CrozeError as error:
            telling.warn(f"failed to import cache mount {name}: {error}")
            return name
        finally:
            if base is not None:
                await base.release()
        return ""

    async def _base(self, offer: MountOffer) -> ImmutableRef:
        """What the mount starts with, if a mount here does, too. The handle is the caller's."""
        for each in self._services.store.all():
            same = each.id == offer.mount.id and each.base_id
            if same and await self._services.digest_of_base(each.base_id) == offer.mount.base:
                return await self._services.refs.get(each.base_id)
        raise NotFound(
            "no step here has used it, and it starts with something (its from=, uid, gid or mode):"
            " a build that uses it can import it with --cache-from"
        )


class CallProgress(Silent):
    """A `Progress` of which everything goes to the caller of a service."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[wire.Said | None] = asyncio.Queue()

    async def during(self, work: Work) -> None:
        try:
            await work(self)
        finally:
            self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[wire.Said]:
        while (message := await self._queue.get()) is not None:
            yield message

    def put(self, message: wire.Said) -> None:
        self._queue.put_nowait(message)

    def say(self, text: str) -> None:
        self.put(wire.Said(text=text))

    def log(self, stream: int, data: bytes) -> None:
        """See `Progress.log`."""
        self.say(data.decode(errors="replace").rstrip("\n"))

    def warn(self, short: str, **_: object) -> None:
        """See `Progress.warn`."""
        self.put(wire.Said(text=short, warning=True))
