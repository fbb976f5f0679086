"""gRPC's library by its own names, for Croze's channels and servers and for generated code:

    from croze.rpc.library import grpc

To type checkers it is the library. At run time stand-ins are there for it: all that is wanted of it
are a dozen small classes, and it takes 9 MB of memory and a twentieth of the daemon's start. It is
loaded by who sends telemetry over it (`telemetry.send`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc
    import grpc.aio

    __all__ = ["grpc"]
else:
    from croze.rpc import stand_ins

    class grpc:
        """Stands in for the module."""

        StatusCode = stand_ins.StatusCode
        RpcError = stand_ins.RpcError
        RpcMethodHandler = stand_ins.RpcMethodHandler
        unary_unary_rpc_method_handler = stand_ins.unary_unary_rpc_method_handler
        unary_stream_rpc_method_handler = stand_ins.unary_stream_rpc_method_handler
        stream_unary_rpc_method_handler = stand_ins.stream_unary_rpc_method_handler
        stream_stream_rpc_method_handler = stand_ins.stream_stream_rpc_method_handler
        method_handlers_generic_handler = stand_ins.method_handlers_generic_handler

        class aio:
            """Stands in for `grpc.aio`."""

            AioRpcError = stand_ins.AioRpcError
            AbortError = stand_ins.AbortError
            Metadata = stand_ins.metadata
