"""What a client lends: a table of gRPC methods per service.

The methods' names are sent when the session opens, so a provider is a table and not a generated
servicer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from google.protobuf.message import Message

from croze.rpc.call import Requests, ServerCall
from croze.rpc.library import grpc
from croze.rpc.servers import Context, aborting
from croze.session.transfer import ReadPackets, WritePackets

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)


Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
"""One method, as gRPC wants it."""


class LentService(Protocol):
    """One service that a client lends."""

    @property
    def service(self) -> str:
        """The full name, such as `moby.filesync.v1.FileSync`."""

    def methods(self) -> Mapping[str, Handler]:
        """Handlers by the method's bare name."""


@runtime_checkable
class Announcing(Protocol):
    """A provider that is also reached some other way than by calls over the session."""

    def announced(self) -> AbstractContextManager[Mapping[str, str]]:
        """Serve that way until the block ends; gives the session headers that tell the daemon of
        it."""


def unary(call: Callable[[Q, Context], Awaitable[R]], request: type[Q]) -> Handler:
    """Serve a unary method; errors become gRPC statuses."""

    async def handle(message: Q, context: Context) -> R:
        async with aborting(context, plain=False):
            return await call(message, context)
        raise AssertionError("aborting always raises")

    return grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=request.FromString, response_serializer=_bytes_of
    )


def stream(
    call: Callable[[AsyncIterator[Q], Context], Awaitable[None]], request: type[Q]
) -> Handler:
    """Reads an iterator and answers with `context.write`."""

    async def handle(messages: AsyncIterator[Q], context: Context) -> None:
        async with aborting(context, plain=False):
            await call(messages, context)

    return grpc.stream_stream_rpc_method_handler(
        handle, request_deserializer=request.FromString, response_serializer=_bytes_of
    )


def raw_stream(call: Callable[[Requests[bytes], ServerCall], Awaitable[None]]) -> Handler:
    """Like `stream`, with messages left as bytes: for a method that carries more than one type, or
    very many."""

    async def handle(messages: Requests[bytes], context: ServerCall) -> None:
        async with aborting(context, plain=False):
            await call(messages, context)

    return grpc.stream_stream_rpc_method_handler(handle)


def unary_stream(call: Callable[[Q, Context], Awaitable[None]], request: type[Q]) -> Handler:
    """Serve a server-streaming method, which answers by `context.write`."""

    async def handle(message: Q, context: Context) -> None:
        async with aborting(context, plain=False):
            await call(message, context)

    return grpc.unary_stream_rpc_method_handler(
        handle, request_deserializer=request.FromString, response_serializer=_bytes_of
    )


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


def packets_of(messages: Requests[bytes], context: ServerCall) -> tuple[ReadPackets, WritePackets]:
    """A call of `raw_stream` as `transfer` reads and writes it."""
    return messages.batch, context.send


def metadata_of(context: Context | ServerCall) -> dict[str, list[str]]:
    """The text metadata of a call, by key."""
    values: dict[str, list[str]] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            values.setdefault(key, []).append(value)
    return values
