"""What a client lends: a table of gRPC methods per service.

The methods' names are sent when the session opens, so a provider is a table and not a generated
servicer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

import grpc
import grpc.aio
from google.protobuf.message import Message
from msgspec import Struct

from croze import errors
from croze.rpc.servers import Context, aborting
from croze.session.transfer import ReadPackets, WritePackets

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)


class Handler(Struct, frozen=True):
    """One method. `build` makes what gRPC wants, answering only calls from `peer`."""

    build: Callable[[str], grpc.RpcMethodHandler[Any, Any]]


class Provider(Protocol):
    """One service that a client lends."""

    @property
    def service(self) -> str:
        """The full name, such as `moby.filesync.v1.FileSync`."""

    def methods(self) -> Mapping[str, Handler]:
        """Handlers by the method's bare name."""


@runtime_checkable
class Announcing(Protocol):
    """A provider that serves in another way, too."""

    def announced(self) -> AbstractContextManager[Mapping[str, str]]:
        """Serve until the block ends; headers of the session that tell the daemon how."""


def unary(call: Callable[[Q, Context], Awaitable[R]], request: type[Q]) -> Handler:
    """One question, one answer; errors become statuses."""

    def build(peer: str) -> grpc.RpcMethodHandler[Any, Any]:
        async def handle(message: Q, context: Context) -> R:
            async with aborting(context, plain=False):
                _check_peer(context, peer)
                return await call(message, context)
            raise AssertionError("aborting always raises")

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=request.FromString,
            response_serializer=_bytes_of,
        )

    return Handler(build)


def stream(
    call: Callable[[AsyncIterator[Q], Context], Awaitable[None]], request: type[Q]
) -> Handler:
    """Reads an iterator and answers with `context.write`."""

    def build(peer: str) -> grpc.RpcMethodHandler[Any, Any]:
        async def handle(messages: AsyncIterator[Q], context: Context) -> None:
            async with aborting(context, plain=False):
                _check_peer(context, peer)
                await call(messages, context)

        return grpc.stream_stream_rpc_method_handler(
            handle,
            request_deserializer=request.FromString,
            response_serializer=_bytes_of,
        )

    return Handler(build)


def raw_stream(call: Callable[[AsyncIterator[bytes], Context], Awaitable[None]]) -> Handler:
    """Like `stream`, with messages left as bytes: for a method that carries more than one type."""

    def build(peer: str) -> grpc.RpcMethodHandler[Any, Any]:
        async def handle(messages: AsyncIterator[bytes], context: Context) -> None:
            async with aborting(context, plain=False):
                _check_peer(context, peer)
                await call(messages, context)

        return grpc.stream_stream_rpc_method_handler(handle)

    return Handler(build)


def unary_stream(call: Callable[[Q, Context], Awaitable[None]], request: type[Q]) -> Handler:
    """One question, many answers by `context.write`."""

    def build(peer: str) -> grpc.RpcMethodHandler[Any, Any]:
        async def handle(message: Q, context: Context) -> None:
            async with aborting(context, plain=False):
                _check_peer(context, peer)
                await call(message, context)

        return grpc.unary_stream_rpc_method_handler(
            handle,
            request_deserializer=request.FromString,
            response_serializer=_bytes_of,
        )

    return Handler(build)


def _check_peer(context: Context, peer: str) -> None:
    if context.peer() != peer:
        raise errors.PermissionDenied("this session is lent to one daemon only")


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


def packets_of(
    messages: AsyncIterator[bytes], context: Context
) -> tuple[ReadPackets, WritePackets]:
    """A call of `raw_stream` as `transfer` reads and writes it."""

    async def read() -> Sequence[bytes]:
        async for message in messages:
            return (message,)
        return ()

    async def write(*packets: bytes) -> None:
        for packet in packets:
            await context.write(packet)

    return read, write


def metadata_of(context: Context) -> dict[str, list[str]]:
    """The text metadata of a call, by key."""
    found: dict[str, list[str]] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            found.setdefault(key, []).append(value)
    return found
