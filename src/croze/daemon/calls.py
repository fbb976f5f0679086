"""Every call that the daemon serves: how long it took, and its span.

Only calls of a trace are traced: those that came with a `traceparent`, and all solves.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import grpc
import grpc.aio
from msgspec import Struct

from croze.rpc.servers import Context
from croze.telemetry.metrics import Instrument, Metrics, Scope
from croze.telemetry.spans import (
    CURRENT,
    Attributes,
    Span,
    SpanContext,
    make_span,
    parse_traceparent,
    root,
)
from croze.telemetry.traces import Traces

SOLVE = "moby.buildkit.v1.Control/Solve"
_RECENT = 100
_UNSEEN = ("opentelemetry.", "grpc.health.")
_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_SCOPE = Scope(
    "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc",
    "0.69.0",
    "https://opentelemetry.io/schemas/1.41.0",
)
"""BuildKit's, so that what was made to look at its metrics finds ours."""


class Call(Struct):
    """One call, for people who look."""

    method: str
    started_s: float
    took_s: float = 0.0
    code: str = ""


Handler: TypeAlias = "grpc.RpcMethodHandler[object, object]"
Behavior = Callable[[object, Context], object]


class Calls(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """The interceptor of the daemon's server."""

    def __init__(self, metrics: Metrics, traces: Traces) -> None:
        self._traces = traces
        self._duration: Instrument = metrics.histogram(
            "rpc.server.call.duration",
            "Measures the duration of an incoming Remote Procedure Call (RPC).",
            _SCOPE,
            unit="s",
            bounds=_BOUNDS_S,
        )
        self._wrapped: dict[str, Handler] = {}
        self._active: dict[int, Call] = {}
        self.recent: deque[Call] = deque(maxlen=_RECENT)

    @property
    def active(self) -> Sequence[Call]:
        """What is being served now."""
        return tuple(self._active.values())

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """See `grpc.aio.ServerInterceptor`. A method's handler is wrapped once."""
        method = _text(handler_call_details.method).removeprefix("/")
        if (known := self._wrapped.get(method)) is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith(_UNSEEN):
            return handler
        return self._wrapped.setdefault(method, self._wrap(method, handler))

    def _wrap(self, method: str, handler: Handler) -> Handler:
        """All four shapes of a call; a stream of answers is a generator, or written to the
        context by a coroutine."""
        shapes = (
            (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
            (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
            (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
            (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
        )
        behavior, make = next((inner, make) for inner, make in shapes if inner is not None)
        wrap = self._generator if inspect.isasyncgenfunction(behavior) else self._coroutine
        made: Handler = make(
            wrap(method, behavior),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return made

    def _coroutine(self, method: str, inner: Callable[..., object]) -> Behavior:
        async def call(request: object, context: Context) -> object:
            with self._serving(method, context):
                answer = inner(request, context)
                return await answer if inspect.isawaitable(answer) else answer

        return call

    def _generator(self, method: str, inner: Callable[..., object]) -> Behavior:
        async def call(request: object, context: Context) -> AsyncIterator[object]:
            with self._serving(method, context):
                answers = inner(request, context)
                assert isinstance(answers, AsyncIterator)
                async for answer in answers:
                    yield answer

        return call

    @contextmanager
    def _serving(self, method: str, context: Context) -> Iterator[None]:
        span, parent = _span(method, context)
        CURRENT.set(span)  # each call has a context of its own
        start_ns, started, code = time.time_ns(), time.perf_counter(), ""
        call = Call(method, start_ns / 1e9)
        self._active[id(call)] = call
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        finally:
            code = call.code = code or _code(context)
            call.took_s = time.perf_counter() - started
            del self._active[id(call)]
            self.recent.append(call)
            self._duration.observe(
                call.took_s,
                {
                    "rpc_method": method,
                    "rpc_response_status_code": code,
                    "rpc_system_name": "grpc",
                },
            )
            if span is not None:
                self._trace(method, code, span, parent, start_ns)

    def _trace(
        self,
        method: str,
        code: str,
        span: SpanContext,
        parent: SpanContext | None,
        start_ns: int,
    ) -> None:
        attributes: Attributes = {
            "rpc.method": method,
            "rpc.system.name": "grpc",
            "rpc.response.status_code": code,
        }
        made = make_span(
            method,
            span,
            parent,
            start_ns,
            time.time_ns(),
            kind=Span.SPAN_KIND_SERVER,
            attributes=attributes,
            error=code if code in _FAILURES else "",
        )
        self._traces.add([made])


def _span(method: str, context: Context) -> tuple[SpanContext | None, SpanContext | None]:
    """A call's span and its parent."""
    sent = {_text(key): _text(value) for key, value in context.invocation_metadata() or ()}
    text = sent.get("traceparent")
    parent = parse_traceparent(text, sent.get("tracestate", "")) if text else None
    if parent is not None:
        return parent.child(), parent
    return (root() if method == SOLVE else None), None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
_FAILURES = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Those that are the server's fault (OpenTelemetry, "Semantic conventions for gRPC")."""


def _code(context: Context) -> str:
    code = context.code()
    number = code.value[0] if isinstance(code, grpc.StatusCode) else code or 0
    return _CODES.get(number, "UNKNOWN")
