"""The services of a daemon on its server: each is loaded with its first call, or by
`daemon.opening`, whichever comes first."""

from __future__ import annotations

from croze.daemon.engine import Engine
from croze.daemon.opening import WorkshopOpening
from croze.rpc.server import Server
from croze.session.health import health_methods


class _Late:
    """What loads each service, and adds it to the server."""

    def __init__(self, server: Server, engine: Engine, opening: WorkshopOpening) -> None:
        self._server = server
        self._engine = engine
        self._opening = opening

    def control(self) -> None:
        from croze.api import control_pb2_grpc
        from croze.daemon.control import ControlService

        self._server.add(
            control_pb2_grpc.add_ControlServicer_to_server,
            ControlService(self._engine, self._opening),
        )

    def content(self) -> None:
        from croze.api import content_pb2_grpc
        from croze.daemon.content_service import ContentService

        service = ContentService(self._engine.store.blobs)
        self._server.add(content_pb2_grpc.add_ContentServicer_to_server, service)

    def traces(self) -> None:
        from croze.daemon.trace_service import trace_methods

        self._server.add_methods(*trace_methods(self._engine.telemetry.traces))

    def images(self) -> None:
        from croze.api import engine_pb2_grpc
        from croze.daemon.images_service import EngineService

        self._server.add(
            engine_pb2_grpc.add_EngineServicer_to_server, EngineService(self._engine, self._opening)
        )

    def history(self) -> None:
        from croze.api import history_pb2_grpc
        from croze.daemon.history_service import HistoryService

        self._server.add(
            history_pb2_grpc.add_HistoryServicer_to_server, HistoryService(self._engine)
        )

    def builds(self) -> None:
        from croze.api import builds_pb2_grpc
        from croze.daemon.builds_service import BuildsService

        self._server.add(builds_pb2_grpc.add_BuildsServicer_to_server, BuildsService(self._engine))

    def why(self) -> None:
        from croze.api import why_pb2
        from croze.rpc.lazy_service import add_lazily

        add_lazily(self._server, why_pb2.DESCRIPTOR.services_by_name["Why"], self._opening.why)

    def cache_mounts(self) -> None:
        from croze.api import cachemounts_pb2
        from croze.rpc.lazy_service import add_lazily

        service = cachemounts_pb2.DESCRIPTOR.services_by_name["CacheMounts"]
        add_lazily(self._server, service, self._opening.cache_mounts)

    def bridge(self) -> None:
        from croze.api import gateway_pb2
        from croze.rpc.lazy_service import add_lazily

        add_lazily(
            self._server, gateway_pb2.DESCRIPTOR.services_by_name["LLBBridge"], self._opening.bridge
        )


def add_services(server: Server, engine: Engine, opening: WorkshopOpening) -> None:
    """All services."""
    late = _Late(server, engine, opening)
    server.add_unloaded("moby.buildkit.v1.Control", late.control)
    server.add_unloaded("containerd.services.content.v1.Content", late.content)
    server.add_unloaded("opentelemetry.proto.collector.trace.v1.TraceService", late.traces)
    server.add_unloaded("croze.v1.Engine", late.images)
    server.add_unloaded("croze.v1.History", late.history)
    server.add_unloaded("croze.v1.Builds", late.builds)
    server.add_unloaded("croze.v1.Why", late.why)
    server.add_unloaded("croze.v1.CacheMounts", late.cache_mounts)
    server.add_unloaded("moby.buildkit.v1.frontend.LLBBridge", late.bridge)
    server.add_methods(*health_methods())
