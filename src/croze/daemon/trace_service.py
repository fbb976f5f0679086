"""`opentelemetry.proto.collector.trace.v1.TraceService`: clients hand in their spans."""

from __future__ import annotations

import grpc

from croze.api import otlp_pb2
from croze.grpc_errors import Context
from croze.telemetry.traces import Traces

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


def trace_handler(traces: Traces) -> grpc.GenericRpcHandler[object, object]:
    """For a server of ours. The service's package is not that of our messages, see `otlp.proto`."""

    async def export(
        request: otlp_pb2.ExportTraceServiceRequest, context: Context
    ) -> otlp_pb2.ExportTraceServiceResponse:
        traces.receive(request)
        return otlp_pb2.ExportTraceServiceResponse()

    method = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=otlp_pb2.ExportTraceServiceRequest.FromString,
        response_serializer=otlp_pb2.ExportTraceServiceResponse.SerializeToString,
    )
    made: grpc.GenericRpcHandler[object, object] = grpc.method_handlers_generic_handler(
        SERVICE, {"Export": method}
    )
    return made
