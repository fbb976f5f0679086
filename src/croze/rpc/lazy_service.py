"""Services that are opened with their first call: until then there is only their description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from croze.rpc.call import ServerCall
from croze.rpc.served import ServedMethod
from croze.rpc.server import Server

Servicer = Callable[[], Awaitable[object]]


def add_lazily(server: Server, service: ServiceDescriptor, servicer: Servicer) -> None:
    """Serve all methods of a service, by those of the same names that `servicer` gives: coroutines,
    which answer with what they return, or through `call.write`."""
    server.services.add(service.full_name)
    for method in service.methods:
        served = _served(service.full_name, method, servicer)
        server.methods[f"/{served.name}"] = served


def _served(service: str, method: MethodDescriptor, servicer: Servicer) -> ServedMethod:
    async def behavior(request: object, call: ServerCall) -> object:
        answer: Awaitable[object] = getattr(await servicer(), method.name)(request, call)
        return await answer

    return ServedMethod(
        f"{service}/{method.name}",
        behavior,
        not method.client_streaming,
        not method.server_streaming,
        GetMessageClass(method.input_type).FromString,
        _bytes_of,
    )


def _bytes_of(message: object) -> bytes:
    assert isinstance(message, Message)
    return message.SerializeToString()
