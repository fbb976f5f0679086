"""`grpc.health.v1.Health`: whoever answers is well. Both the daemon and a session serve it.

Source: grpc/health/v1/health.proto. Its messages have one field each, so that they are written
out here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from croze.rpc.library import grpc

SERVING = b"\x08\x01"
"""`HealthCheckResponse{status: SERVING}`"""
SERVICE_UNKNOWN = b"\x08\x03"


def health_methods() -> tuple[str, Mapping[str, grpc.RpcMethodHandler[Any, Any]]]:
    """The service and its methods. They tell of the whole server; of others nothing is known."""
    return "grpc.health.v1.Health", {
        "Check": grpc.unary_unary_rpc_method_handler(_check),
        "Watch": grpc.unary_stream_rpc_method_handler(_watch),
    }


async def _check(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    if request:
        await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return SERVING


async def _watch(request: bytes, context: object) -> AsyncIterator[bytes]:
    yield SERVICE_UNKNOWN if request else SERVING
    await asyncio.Event().wait()  # it changes only by ending
