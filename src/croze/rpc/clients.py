"""What callers share: a failed call raises its `CrozeError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from croze.rpc.library import grpc
from croze.rpc.status import DETAILS_KEY, NUMBERS, RpcStatus, from_rpc_error


@contextmanager
def translated() -> Iterator[None]:
    """Turn the error of a client's call into the `CrozeError` that the peer meant, while inside."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None


def call_error(outcome: RpcStatus) -> grpc.aio.AioRpcError:
    """The error that gRPC's library raises for a call which ended with this status."""
    details = ((DETAILS_KEY, outcome.SerializeToString()),) if outcome.details else ()
    code = NUMBERS.get(outcome.code, grpc.StatusCode.UNKNOWN)
    none, trailing = grpc.aio.Metadata(), grpc.aio.Metadata(*details)
    return grpc.aio.AioRpcError(code, none, trailing, outcome.message, None)
