"""The history of builds, as stock buildx and a client of our own see it."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import grpc

from croze.api import content_pb2, content_pb2_grpc, control_pb2, control_pb2_grpc
from tests.e2e.app import APP, app_context, base
from tests.e2e.sandbox import Sandbox

FAILING = "FROM base\nRUN echo before; exit 3\n"


def built(sandbox: Sandbox, *words: str | Path, check: bool = True) -> None:
    sandbox.buildx("sid", "build", "-o", "type=cacheonly", *words, check=check)


def rows(sandbox: Sandbox, *words: str) -> list[list[str]]:
    out = sandbox.buildx("sid", "history", "ls", *words).stdout
    return [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()[1:]]


def trace(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The trace of the one build, finished now."""
    with grpc.insecure_channel(sandbox.address) as channel:
        control = control_pb2_grpc.ControlStub(channel)
        ask = control_pb2.BuildHistoryRequest(EarlyExit=True)
        (before,) = control.ListenBuildHistory(ask)
        finalize = control_pb2.UpdateBuildHistoryRequest(Ref=before.record.Ref, Finalize=True)
        control.UpdateBuildHistory(finalize)
        (after,) = control.ListenBuildHistory(ask)
        content = content_pb2_grpc.ContentStub(channel)
        read = content_pb2.ReadContentRequest(digest=after.record.trace.digest)
        text = b"".join(part.data for part in content.Read(read)).decode()
    spans, decoder = [], json.JSONDecoder()
    while text.strip():
        span, end = decoder.raw_decode(text.lstrip())
        spans.append(span)
        text = text.lstrip()[end:]
    return spans


def test_builds_are_on_record_with_their_logs(sandbox: Sandbox, busybox: Path) -> None:
    app = app_context(sandbox)
    bad = sandbox.context("bad", {"Dockerfile": FAILING})
    built(sandbox, *base(busybox), app)
    built(sandbox, *base(busybox), bad, check=False)

    failed, done = rows(sandbox)
    assert [failed[1:3], done[1:3]] == [["bad", "Error"], ["app", "Completed"]]
    assert rows(sandbox, "--filter", "status=error") == [failed]
    assert "RUN cat one two" in sandbox.buildx("sid", "history", "logs", done[0]).output

    shown = json.loads(
        sandbox.buildx("sid", "history", "inspect", "--format=json", failed[0]).stdout
    )
    assert shown["Status"] == "failed"
    assert "exit code: 3" in shown["Error"]["Message"]
    assert "before" in shown["Error"]["Logs"][-1]

    sandbox.stop(signal.SIGKILL)
    sandbox.wait_no_leftovers()
    sandbox.start()
    assert [row[:3] for row in rows(sandbox)] == [failed[:3], done[:3]]
    sandbox.croze("prune", "-a", "-f")
    assert "RUN cat one two" in sandbox.buildx("sid", "history", "logs", done[0]).output

    out = sandbox.path / "app.dockerbuild"
    sandbox.buildx("sid", "history", "export", "-o", out, done[0])
    assert out.stat().st_size > 100
    sandbox.buildx("sid", "history", "rm", "--all")
    assert rows(sandbox) == []


def test_a_build_in_a_trace(sandbox: Sandbox) -> None:
    empty = sandbox.context("empty", {"Dockerfile": "FROM scratch\n"})
    trace_id, span_id = "1" * 32, "2" * 16
    sandbox.croze("build", empty, env={"TRACEPARENT": f"00-{trace_id}-{span_id}-01"})
    (solve,) = [s for s in trace(sandbox) if s["Name"] == "moby.buildkit.v1.Control/Solve"]
    assert solve["SpanContext"]["TraceID"] == trace_id
    assert solve["Parent"]["SpanID"] == span_id


def test_records_expire_by_age_and_number(sandbox: Sandbox) -> None:
    empty = sandbox.context("empty", {"Dockerfile": "FROM scratch\n"})
    for _ in range(2):
        built(sandbox, empty)
    assert len(rows(sandbox)) == 2
    assert sandbox.stop() == 0
    config = sandbox.path / "buildkitd.toml"
    config.write_text("[history]\nmaxAge = 0\nmaxEntries = 1\n")
    sandbox.start("--config", str(config))
    assert len(rows(sandbox)) == 1


def test_traces_go_to_the_record_and_to_a_collector(sandbox: Sandbox, busybox: Path) -> None:
    """One daemon collects what another one sends it."""
    collector = Sandbox(sandbox.path / "collector")
    assert sandbox.stop() == 0
    sandbox.extra_env |= {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.address,
        "OTEL_SERVICE_NAME": "the-daemon",
    }
    with collector.running():
        sandbox.start()
        tracing = "RUN [ -S /dev/otel-grpc.sock ] && [ $OTEL_TRACES_EXPORTER = otlp ]"
        dockerfile = f"{APP}{tracing} && echo $TRACEPARENT | grep 00-\n"
        app = sandbox.context("app", {"Dockerfile": dockerfile, "one": "1\n", "two": "2\n"})
        built(sandbox, *base(busybox), app)
        spans = trace(sandbox)
        names = {span["Name"] for span in spans}
        assert {"moby.buildkit.v1.Control/Solve", "run container", f"build {app}"} <= names
        assert any("RUN cat one two" in name for name in names)
        assert len({span["SpanContext"]["TraceID"] for span in spans}) == 1
        services = {span["Resource"][0]["Value"]["Value"] for span in spans}
        assert services == {"the-daemon"}
        assert sandbox.stop() == 0
        assert "export:" not in sandbox.log_text()
        sandbox.start()
