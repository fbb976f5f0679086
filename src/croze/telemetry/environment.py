"""What the `OTEL_` variables ask for.

Source: OpenTelemetry's "General SDK configuration" and "OTLP exporter configuration", as far as
BuildKit's daemon honours them (`util/tracing/detect`).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from msgspec import Struct, field

from croze.api import otlp_pb2
from croze.errors import InvalidRequest
from croze.gotypes.strings import shown
from croze.telemetry.spans import key_values
from croze.version import VERSION

Environment = Mapping[str, str]
DEFAULT_TIMEOUT_S = 10.0


class OtlpTarget(Struct, frozen=True):
    """Where OTLP goes. `endpoint` is a URL; for gRPC its path means nothing."""

    protocol: str
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = DEFAULT_TIMEOUT_S
    compress: bool = False
    ca_file: str = ""


_JAEGER = (
    "JAEGER_TRACE",
    "OTEL_EXPORTER_JAEGER_AGENT_HOST",
    "OTEL_EXPORTER_JAEGER_ENDPOINT",
)
"""What BuildKit sends spans to Jaeger by, where nothing asks for OTLP."""


def traces_target(env: Environment) -> OtlpTarget | None:
    """Where spans go, if anywhere. Raises `InvalidRequest` for what is not supported."""
    exporter = env.get("OTEL_TRACES_EXPORTER", "")
    target = _target(env, "TRACES") if exporter != "jaeger" else None
    ignored = exporter == "none" or _true(env.get("OTEL_IGNORE_ERROR", ""))
    name = next((name for name in _JAEGER if env.get(name)), "")
    if target is None and not ignored and (name or exporter == "jaeger"):
        raise InvalidRequest(
            f"{name or 'OTEL_TRACES_EXPORTER=jaeger'}: Jaeger's old protocol is not spoken, but"
            " Jaeger takes OTLP: set OTEL_EXPORTER_OTLP_ENDPOINT instead"
        )
    return target


def metrics_target(env: Environment) -> OtlpTarget | None:
    """Where metrics go, if anywhere. Raises `InvalidRequest` for what is not supported."""
    return _target(env, "METRICS")


def resource(env: Environment, service: str) -> otlp_pb2.Resource:
    """Who we are: the service's name, and `OTEL_RESOURCE_ATTRIBUTES`."""
    attributes = {
        "service.name": service,
        **_pairs(env.get("OTEL_RESOURCE_ATTRIBUTES", "")),
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "croze",
        "telemetry.sdk.version": VERSION,
    }
    if name := env.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = name
    texts = {shown(key): shown(value) for key, value in attributes.items()}
    return otlp_pb2.Resource(attributes=key_values(texts))


def milliseconds(env: Environment, name: str, default: float) -> float:
    """A span of time in seconds; one that is no number is as good as none."""
    try:
        return float(env.get(name) or default * 1000) / 1000
    except ValueError:
        return default


def _target(env: Environment, signal: str) -> OtlpTarget | None:
    chosen = env.get(f"OTEL_{signal}_EXPORTER", "")
    endpoint = env.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "")
    common = env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    if chosen not in ("", "none", "otlp"):
        if _true(env.get("OTEL_IGNORE_ERROR", "")):
            return None
        raise InvalidRequest(f"unsupported opentelemetry exporter {chosen}")
    if chosen == "none" or not (chosen or endpoint or common):
        return None
    protocol = _of(env, signal, "PROTOCOL") or "grpc"
    if protocol not in ("grpc", "http/protobuf"):
        raise InvalidRequest(f"unsupported otlp protocol {protocol}")
    return OtlpTarget(
        protocol=protocol,
        endpoint=endpoint or _below(common, protocol, signal),
        headers=_pairs(_of(env, signal, "HEADERS")),
        timeout_s=milliseconds({"": _of(env, signal, "TIMEOUT")}, "", DEFAULT_TIMEOUT_S),
        compress=_of(env, signal, "COMPRESSION") == "gzip",
        ca_file=_of(env, signal, "CERTIFICATE"),
    )


def _below(common: str, protocol: str, signal: str) -> str:
    """The signal's own address, made of that of all signals."""
    if protocol == "grpc":
        return common or "http://localhost:4317"
    return f"{(common or 'http://localhost:4318').rstrip('/')}/v1/{signal.lower()}"


def _of(env: Environment, signal: str, name: str) -> str:
    return env.get(f"OTEL_EXPORTER_OTLP_{signal}_{name}") or env.get(
        f"OTEL_EXPORTER_OTLP_{name}", ""
    )


def _pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`, percent-encoded."""
    pairs = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if equals and key.strip():
            pairs[key.strip()] = unquote(value.strip())
    return pairs


def _true(text: str) -> bool:
    return text.lower() in ("1", "t", "true")
