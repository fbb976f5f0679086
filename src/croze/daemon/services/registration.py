"""The services of a daemon on its server: each is loaded with its first call, or by
`daemon.engine.opening`, whichever comes first."""

from __future__ import annotations

from croze.daemon.engine.engine import Engine
from croze.daemon.engine.opening import BuildServicesOpening
from croze.rpc.server import Server
from croze.session.health import health_methods


class _Loaders:
    """What loads each service, and adds it to the server."""

    def __init__(self, server: Server, engine: Engine, opening: BuildServicesOpening) -> None:
        self._server = server
        self._engine = engine
        self._opening = opening

    def control(self) -> None:
        from croze.api import control_pb2_grpc
        from croze.daemon.services.control import ControlService

        self._server.add(
            control_pb2_grpc.add_ControlServicer_to_server,
            ControlService(self._engine, self._opening),
        )

    def content(self) -> None:
        from croze.api import content_pb2_grpc
        from croze.daemon.services.content import ContentService

        service = ContentService(self._engine.store.blobs)
        self._server.add(content_pb2_grpc.add_ContentServicer_to_server, service)

    def traces(self) -> None:
        from croze.daemon.telemetry.trace_service import trace_methods

        self._server.add_methods(*trace_methods(self._engine.telemetry.traces))

    def images(self) -> None:
        from croze.api import engine_pb2_grpc
        from croze.daemon.services.engine import EngineService

        self._server.add(
            engine_pb2_grpc.add_EngineServicer_to_server, EngineService(self._engine, self._opening)
        )

    def history(self) -> None:
        from croze.api import history_pb2_grpc
        from croze.daemon.services.history import HistoryService

        self._server.add(
            history_pb2_grpc.add_HistoryServicer_to_server, HistoryService(self._engine)
        )

    def builds(self) -> None:
        from croze.api import builds_pb2_grpc
        from croze.daemon.services.builds import BuildsService

        self._server.add(builds_pb2_grpc.add_BuildsServicer_to_server, BuildsService(self._engine))

    def why(self) -> None:
        from croze.api import why_pb2
        from croze.rpc.lazy_service import add_lazily

        async def service() -> object:
            services = await self._opening.build_services()
            from croze.daemon.services.why import WhyService

            return WhyService(services.recorder)

        add_lazily(self._server, why_pb2.DESCRIPTOR.services_by_name["Why"], service)

    def cache_mounts(self) -> None:
        from croze.api import cachemounts_pb2
        from croze.rpc.lazy_service import add_lazily

        async def service() -> object:
            services = await self._opening.build_services()
            from croze.daemon.services.cache_mounts import CacheMountsService

            return CacheMountsService(services)

        add_lazily(
            self._server, cachemounts_pb2.DESCRIPTOR.services_by_name["CacheMounts"], service
        )

    def bridge(self) -> None:
        from croze.api import gateway_pb2
        from croze.rpc.lazy_service import add_lazily

        async def service() -> object:
            return (await self._opening.build_services()).forwarder.servicer()

        add_lazily(self._server, gateway_pb2.DESCRIPTOR.services_by_name["LLBBridge"], service)


def add_services(server: Server, engine: Engine, opening: BuildServicesOpening) -> None:
    """All services."""
    loaders = _Loaders(server, engine, opening)
    server.add_unloaded("moby.buildkit.v1.Control", loaders.control)
    server.add_unloaded("containerd.services.content.v1.Content", loaders.content)
    server.add_unloaded("opentelemetry.proto.collector.trace.v1.TraceService", loaders.traces)
    server.add_unloaded("croze.v1.Engine", loaders.images)
    server.add_unloaded("croze.v1.History", loaders.history)
    server.add_unloaded("croze.v1.Builds", loaders.builds)
    server.add_unloaded("croze.v1.Why", loaders.why)
    server.add_unloaded("croze.v1.CacheMounts", loaders.cache_mounts)
    server.add_unloaded("moby.buildkit.v1.frontend.LLBBridge", loaders.bridge)
    server.add_methods(*health_methods())
