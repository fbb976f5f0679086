"""What callers share: a failed call raises its `CrozeError`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from croze import errors
from croze.rpc.status import from_rpc_error


@contextmanager
def translated() -> Iterator[None]:
    """Around a client's call: a failed call raises its `CrozeError`."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None


W = TypeVar("W", bound=bytes | Message)


async def write_to(call: grpc.aio.StreamStreamCall[W, Any], message: W) -> None:
    """`call.write`, but when the peer has ended the call, this raises the status it ended with.

    grpcio's own `write` overwrites that status with "Internal error from Core", hence the way
    around it.
    """
    data = message if isinstance(message, bytes) else message.SerializeToString()
    await call.wait_for_connection()
    try:
        await call._cython_call.send_serialized_message(data)  # type: ignore[attr-defined]
    except asyncio.CancelledError:
        call.cancel()
        raise
    except cygrpc.InternalError:
        await _raise_status_of(call)


async def _raise_status_of(call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
    code = await call.code()
    if code is grpc.StatusCode.OK:
        raise errors.Unavailable("the other side ended the call too early") from None
    raise grpc.aio.AioRpcError(
        code,
        await call.initial_metadata(),
        await call.trailing_metadata(),
        await call.details(),
        None,
    ) from None
