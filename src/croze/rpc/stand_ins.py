"""Stand-ins for the small classes of gRPC's library (`rpc.library`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from msgspec import Struct

Metadata = Sequence[tuple[str, str | bytes]]


class StatusCode(Enum):
    """Number, and the words that go with it (grpc/grpc `doc/statuscodes.md`)."""

    OK = (0, "ok")
    CANCELLED = (1, "cancelled")
    UNKNOWN = (2, "unknown")
    INVALID_ARGUMENT = (3, "invalid argument")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    NOT_FOUND = (5, "not found")
    ALREADY_EXISTS = (6, "already exists")
    PERMISSION_DENIED = (7, "permission denied")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    FAILED_PRECONDITION = (9, "failed precondition")
    ABORTED = (10, "aborted")
    OUT_OF_RANGE = (11, "out of range")
    UNIMPLEMENTED = (12, "unimplemented")
    INTERNAL = (13, "internal")
    UNAVAILABLE = (14, "unavailable")
    DATA_LOSS = (15, "data loss")
    UNAUTHENTICATED = (16, "unauthenticated")


class RpcError(Exception):
    """A call has failed."""


class AioRpcError(RpcError):
    """A call has failed, with this status."""

    def __init__(
        self,
        code: StatusCode,
        initial_metadata: Metadata,
        trailing_metadata: Metadata,
        details: str | None = None,
        debug_error_string: str | None = None,
    ) -> None:
        super().__init__(code, initial_metadata, trailing_metadata, details, debug_error_string)
        self._code = code
        self._initial = initial_metadata
        self._trailing = trailing_metadata
        self._details = details

    def __str__(self) -> str:
        return f"{self._code.name}: {self._details}"

    def code(self) -> StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details

    def initial_metadata(self) -> Metadata:
        return self._initial

    def trailing_metadata(self) -> Metadata:
        return self._trailing


class AbortError(Exception):
    """A handler has ended its call."""


class RpcMethodHandler(Struct, frozen=True):
    """How one method is served: one of the behaviors is there."""

    request_streaming: bool
    response_streaming: bool
    request_deserializer: Callable[[bytes], object] | None
    response_serializer: Callable[[object], bytes] | None
    unary_unary: Callable[..., object] | None = None
    unary_stream: Callable[..., object] | None = None
    stream_unary: Callable[..., object] | None = None
    stream_stream: Callable[..., object] | None = None


Deserialize = Callable[[bytes], object]
Serialize = Callable[[object], bytes]
Behavior = Callable[..., object]


def unary_unary_rpc_method_handler(
    behavior: Behavior,
    request_deserializer: Deserialize | None = None,
    response_serializer: Serialize | None = None,
) -> RpcMethodHandler:
    """A handler of a unary method."""
    coding = (request_deserializer, response_serializer)
    return RpcMethodHandler(False, False, *coding, unary_unary=behavior)


def unary_stream_rpc_method_handler(
    behavior: Behavior,
    request_deserializer: Deserialize | None = None,
    response_serializer: Serialize | None = None,
) -> RpcMethodHandler:
    """A handler of a server-streaming method."""
    coding = (request_deserializer, response_serializer)
    return RpcMethodHandler(False, True, *coding, unary_stream=behavior)


def stream_unary_rpc_method_handler(
    behavior: Behavior,
    request_deserializer: Deserialize | None = None,
    response_serializer: Serialize | None = None,
) -> RpcMethodHandler:
    """A handler of a client-streaming method."""
    coding = (request_deserializer, response_serializer)
    return RpcMethodHandler(True, False, *coding, stream_unary=behavior)


def stream_stream_rpc_method_handler(
    behavior: Behavior,
    request_deserializer: Deserialize | None = None,
    response_serializer: Serialize | None = None,
) -> RpcMethodHandler:
    """A handler of a bidirectional streaming method."""
    coding = (request_deserializer, response_serializer)
    return RpcMethodHandler(True, True, *coding, stream_stream=behavior)


def method_handlers_generic_handler(service: str, handlers: Mapping[str, RpcMethodHandler]) -> None:
    """Do nothing: a server of ours takes the methods by their names."""


def metadata(*pairs: tuple[str, str | bytes]) -> Metadata:
    return pairs
