"""Ask a `crozed` why the steps of a build missed the cache."""

from __future__ import annotations

from croze.api import why_pb2
from croze.api.why_pb2_grpc import WhyStub
from croze.errors import Unsupported
from croze.rpc.library import grpc
from croze.rpc.status import from_rpc_error

Explanation = why_pb2.ExplainResponse
Step = why_pb2.Step


async def explain(channel: grpc.aio.Channel, ref: str = "", *, files: int = 0) -> Explanation:
    """The build `ref` (the latest without one). Raises `errors.NotFound` when it is not on
    record, `errors.Unsupported` from another kind of daemon."""
    request = why_pb2.ExplainRequest(ref=ref, files=files)
    try:
        return await WhyStub(channel).Explain(request)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise Unsupported("this daemon is not a crozed: it keeps no records of steps") from None
        raise from_rpc_error(error) from None
