"""Methods that a server serves, out of the handlers of generated code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from croze.rpc.library import grpc

Behavior = Callable[..., object]


class ServedMethod(Struct, frozen=True):
    """A method that is served: its handler, and how its messages are read and written."""

    name: str
    behavior: Behavior
    asks_once: bool
    answers_once: bool
    deserialize: Callable[[bytes], object] | None
    serialize: Callable[[object], bytes] | None


def served_method(name: str, handler: grpc.RpcMethodHandler[Any, Any]) -> ServedMethod:
    """The method of a handler."""
    shapes = (handler.unary_unary, handler.unary_stream, handler.stream_unary)
    behavior = next((each for each in shapes if each is not None), handler.stream_stream)
    assert behavior is not None
    return ServedMethod(
        name,
        behavior,
        not handler.request_streaming,
        not handler.response_streaming,
        handler.request_deserializer,
        handler.response_serializer,
    )
