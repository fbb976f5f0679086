"""`croze.v1.Builds`: what can be done about running builds."""

from __future__ import annotations

from croze.api import builds_pb2, builds_pb2_grpc
from croze.daemon.engine.engine import Engine
from croze.rpc.servers import Context, coded_unary, unary


class BuildsService(builds_pb2_grpc.BuildsServicer):
    """Detached builds, waited for and cancelled by their refs: the `Builds` service."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @unary
    async def Wait(
        self, request: builds_pb2.WaitRequest, context: Context
    ) -> builds_pb2.WaitResponse:
        """What a detached build answers, once it has ended. Raises `NotFound`, and what the build
        has failed with."""
        response = await self._engine.running.wait(request.ref)
        return builds_pb2.WaitResponse(exporter_response=response)

    @coded_unary
    async def Cancel(
        self, request: builds_pb2.CancelBuildRequest, context: Context
    ) -> builds_pb2.CancelBuildResponse:
        await self._engine.running.cancel(request.ref)
        return builds_pb2.CancelBuildResponse()
