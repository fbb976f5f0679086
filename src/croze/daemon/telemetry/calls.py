"""Every call that the daemon serves: how long it took, and its span.

Only calls of a trace are traced: those that came with a `traceparent`, and all solves.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.rpc.call import ServerCall as Served
from croze.telemetry.metrics import Instrument, InstrumentationScope, Metrics
from croze.telemetry.spans import (
    CURRENT,
    Attributes,
    Span,
    SpanContext,
    make_span,
    parse_traceparent,
    root,
)

if TYPE_CHECKING:
    from croze.telemetry.traces import Traces

SOLVE = "moby.buildkit.v1.Control/Solve"
_RECENT = 100
_UNSEEN = ("opentelemetry.", "grpc.health.")
_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_SCOPE = InstrumentationScope(
    "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc",
    "0.69.0",
    "https://opentelemetry.io/schemas/1.41.0",
)
"""BuildKit's, so that what was made to look at its metrics finds ours."""


class WatchedCall(Struct):
    """A call that is being served: its method and when it began, for people who look."""

    method: str
    started_s: float
    took_s: float = 0.0
    code: str = ""


class WatchedCalls:
    """All calls under way: `watching` is for `rpc.server.Server`."""

    def __init__(self, metrics: Metrics, traces: Callable[[], Traces]) -> None:
        """`traces` gives the place of spans, once a call is traced."""
        self._traces = traces
        self._duration: Instrument = metrics.histogram(
            "rpc.server.call.duration",
            "Measures the duration of an incoming Remote Procedure Call (RPC).",
            _SCOPE,
            unit="s",
            bounds=_BOUNDS_S,
        )
        self._active: dict[int, WatchedCall] = {}
        self.recent: deque[WatchedCall] = deque(maxlen=_RECENT)

    @property
    def active(self) -> Sequence[WatchedCall]:
        """The calls that are being served now."""
        return tuple(self._active.values())

    @contextmanager
    def watching(self, method: str, served: Served) -> Iterator[None]:
        """Count the call as under way, and time it, while inside."""
        if method.startswith(_UNSEEN):
            yield
            return
        span, parent = _span(method, served)
        CURRENT.set(span)  # each call has a context of its own
        start_ns, started, code = time.time_ns(), time.perf_counter(), ""
        call = WatchedCall(method, start_ns / 1e9)
        self._active[id(call)] = call
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except Exception:
            code = "" if served.code() else "UNKNOWN"
            raise
        finally:
            code = call.code = code or _code(served)
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
        new = make_span(
            method,
            span,
            parent,
            start_ns,
            time.time_ns(),
            kind=Span.SPAN_KIND_SERVER,
            attributes=attributes,
            error=code if code in _FAILURES else "",
        )
        self._traces().add([new])


def _span(method: str, served: Served) -> tuple[SpanContext | None, SpanContext | None]:
    """A call's span and its parent."""
    metadata = dict(served.invocation_metadata())
    text, state = metadata.get("traceparent"), str(metadata.get("tracestate", ""))
    parent = parse_traceparent(str(text), state) if text else None
    if parent is not None:
        return parent.child(), parent
    return (root() if method == SOLVE else None), None


_FAILURES = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""The codes that are the server's fault (OpenTelemetry, "Semantic conventions for gRPC")."""


def _code(served: Served) -> str:
    code = served.code()
    return "OK" if code is None else code.name
