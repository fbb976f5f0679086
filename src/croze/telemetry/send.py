"""OTLP requests on their way to a collector: gRPC, or protobuf over HTTP.

Source: OpenTelemetry Protocol Specification 1.x, "OTLP/gRPC" and "OTLP/HTTP".
"""

from __future__ import annotations

import gzip
import ssl
from pathlib import Path
from typing import Protocol

import grpc
import grpc.aio
from google.protobuf.message import Message

from croze.aio.threads import in_thread
from croze.errors import Unavailable
from croze.files.redact import redact
from croze.http.daemon import HttpClient
from croze.http.lazy import aiohttp
from croze.http.redirects import RedirectRefused
from croze.http.urls import parse_url
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.status import from_status, status
from croze.telemetry.environment import OtlpTarget

TRACES_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS_METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


class RequestSender(Protocol):
    """Delivers one request. Raises `CrozeError`."""

    async def send(self, request: Message) -> None:
        """Deliver an OTLP export request."""

    async def close(self) -> None:
        """Close the connection."""


def sender(target: OtlpTarget, method: str) -> RequestSender:
    """A sender for a target's protocol. Connects when there is something to send."""
    return GrpcSender(target, method) if target.protocol == "grpc" else HttpSender(target)


class GrpcSender:
    """See `RequestSender`."""

    def __init__(self, target: OtlpTarget, method: str) -> None:
        self._target = target
        compression = grpc.Compression.Gzip if target.compress else None
        url = parse_url(target.endpoint)
        address = target.endpoint if url.scheme == "unix" else url.netloc or target.endpoint
        credentials = None
        if url.scheme == "https":
            roots = Path(target.ca_file).read_bytes() if target.ca_file else None
            credentials = grpc.ssl_channel_credentials(roots)
        self._channel = _channel(address, credentials, compression)
        self._call = self._channel.unary_unary(
            method, request_serializer=_serialize, response_deserializer=bytes
        )

    async def send(self, request: Message) -> None:
        headers = tuple((key.lower(), value) for key, value in self._target.headers.items())
        try:
            await self._call(request, timeout=self._target.timeout_s, metadata=headers)
        except grpc.aio.AioRpcError as error:
            raise from_status(status(error.code().value[0], error.details() or "")) from None

    async def close(self) -> None:
        await self._channel.close(None)


def _channel(
    address: str, credentials: grpc.ChannelCredentials | None, compression: grpc.Compression | None
) -> grpc.aio.Channel:
    """A channel of gRPC's library, which knows proxies and compresses."""
    options = (("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options, compression)  # noqa: TID251
    return grpc.aio.secure_channel(address, credentials, options, compression)  # noqa: TID251


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


class HttpSender:
    """See `RequestSender`. A connection each time: there is a request every few seconds at most."""

    def __init__(self, target: OtlpTarget) -> None:
        self._target = target

    async def send(self, request: Message) -> None:
        data = request.SerializeToString()
        headers = {"Content-Type": "application/x-protobuf", **self._target.headers}
        if self._target.compress:
            headers["Content-Encoding"] = "gzip"
            data = await in_thread(gzip.compress, data)
        ca_file = self._target.ca_file
        tls = ssl.create_default_context(cafile=ca_file) if ca_file else True
        endpoint = self._target.endpoint
        client = HttpClient(total_s=self._target.timeout_s)
        try:
            sent = client.send("POST", endpoint, body=data, headers=headers, ssl=tls)
            async with await sent as answer:
                if answer.status >= 300:
                    raise Unavailable(f"{redact(endpoint)}: {answer.status} {answer.reason}")
        except (aiohttp.ClientError, TimeoutError, RedirectRefused) as error:
            raise Unavailable(f"{redact(endpoint)}: {error}") from error
        finally:
            await client.close()

    async def close(self) -> None:
        """Do nothing: no connection is kept open."""
