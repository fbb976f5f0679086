"""The `OTEL_` variables."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.telemetry.environment import OtlpTarget, metrics_target, resource, traces_target

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    "env",
    [{}, {ENDPOINT: "http://c:1", "OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SERVICE_NAME": "x"}],
)
def test_nothing_is_asked_for(env: dict[str, str]) -> None:
    assert traces_target(env) is None


@pytest.mark.parametrize(
    ("env", "target"),
    [
        ({"OTEL_TRACES_EXPORTER": "otlp"}, OtlpTarget("grpc", "http://localhost:4317")),
        ({ENDPOINT: "http://c:1"}, OtlpTarget("grpc", "http://c:1")),
        (
            {ENDPOINT: "http://c:1/", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            OtlpTarget("http/protobuf", "http://c:1/v1/traces"),
        ),
        (
            {
                ENDPOINT: "http://c:1",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://d:2/x",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c, d=e",
                "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
                "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            },
            OtlpTarget("http/protobuf", "http://d:2/x", {"a": "b c", "d": "e"}, 1.5, compress=True),
        ),
    ],
)
def test_targets(env: dict[str, str], target: OtlpTarget) -> None:
    assert traces_target(env) == target


def test_metrics_have_their_own() -> None:
    env = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:1"}
    assert metrics_target(env) == OtlpTarget("grpc", "http://m:1")
    assert traces_target(env) is None


def test_what_there_is_none_of() -> None:
    with pytest.raises(InvalidRequest, match="unsupported opentelemetry exporter zipkin"):
        traces_target({"OTEL_TRACES_EXPORTER": "zipkin"})
    assert traces_target({"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_IGNORE_ERROR": "1"}) is None
    with pytest.raises(InvalidRequest, match="unsupported otlp protocol http/json"):
        traces_target({ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JAEGER_TRACE", "localhost:6831"),
        ("OTEL_EXPORTER_JAEGER_AGENT_HOST", "j"),
        ("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://j:14250"),
        ("OTEL_TRACES_EXPORTER", "jaeger"),
    ],
)
def test_jaegers_own_protocol_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name}.*Jaeger takes OTLP"):
        traces_target({name: value})
    assert traces_target({name: value, "OTEL_IGNORE_ERROR": "1"}) is None
    if name != "OTEL_TRACES_EXPORTER":
        assert traces_target({name: value, ENDPOINT: "http://c:1"}) is not None
        assert traces_target({name: value, "OTEL_TRACES_EXPORTER": "none"}) is None


def test_the_resource() -> None:
    def names(env: dict[str, str]) -> dict[str, str]:
        made = resource(env, "buildkitd")
        return {a.key: a.value.string_value for a in made.attributes}

    assert names({})["service.name"] == "buildkitd"
    attributes = names({"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,team=y"})
    assert (attributes["service.name"], attributes["team"]) == ("x", "y")
    assert names({"OTEL_SERVICE_NAME": "z"})["service.name"] == "z"


def test_a_name_that_is_no_text() -> None:
    """As of a variable in another encoding. It would fail each call that is looked at."""
    made = resource({"OTEL_SERVICE_NAME": "caf\udce9"}, "buildkitd")
    assert made.attributes[0].value.string_value == "caf\ufffd"
