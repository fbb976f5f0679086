"""The debug address of a running daemon."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.sandbox import CommandFailed, Sandbox, execute
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path_factory.mktemp("debug"))
    address = f"unix://{made.path}/debug.sock"
    docker = f"--docker-api=unix://{made.path}/docker.sock"
    with made.running("--debugaddr", address, "--save-cache-debug", docker):
        empty = made.context("empty", {"Dockerfile": "FROM scratch\nCOPY d /\n", "d/f": "text"})
        made.croze("build", empty)
        made.croze("build", "--target", "nothing", empty, check=False)
        yield made


def ask(daemon: Sandbox, path: str, *flags: str) -> tuple[int, str]:
    words = ["curl", "-s", "-w", "\\n%{http_code}", "--unix-socket", f"{daemon.path}/debug.sock"]
    done = execute([*words, *flags, f"http://d{path}"], daemon.env).stdout
    text, _, code = done.rpartition("\n")
    return int(code), text


def test_metrics_count_builds_and_steps(daemon: Sandbox) -> None:
    code, text = ask(daemon, "/metrics")
    assert code == 200
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    scope = 'otel_scope_name="github.com/moby/buildkit/solver/llbsolver"'
    scope += ',otel_scope_schema_url="",otel_scope_version=""'
    assert values[f'buildkit_builds_total{{{scope},status="success"}}'] == "1"
    assert values[f'buildkit_builds_total{{error_code="Unknown",{scope},status="failure"}}'] == "1"
    assert int(values[f'buildkit_builds_steps_total{{kind="completed",{scope}}}']) > 2
    assert values[f'buildkit_build_duration_seconds_count{{{scope},status="success"}}'] == "1"
    assert any(name.startswith("rpc_server_call_duration_seconds_count") for name in values)
    assert int(values["process_open_fds"]) > 3


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/debug/vars", '"cmdline"'),
        ("/debug/requests", "moby.buildkit.v1.Control/Solve  OK"),
        ("/debug/events", ""),
        ("/debug/pprof/", "goroutine"),
        ("/debug/pprof/cmdline", "croze.daemon"),
        ("/debug/pprof/goroutine", "in BuildHistory.run"),
        ("/debug/pprof/profile?seconds=0.1", "MainThread;"),
        ("/debug/pprof/heap?seconds=0.1", "bytes in use"),
        ("/debug/pprof/objects", "croze."),
        ("/debug/gc", ""),
        ("/debug/cache/all", "(file-list):\n"),
        ("/debug/cache/all", 'data: {"Type":"buildkit.file.v0"'),
        ("/debug/cache/store", "Plaintexts:\n"),
        ("/debug/cache/store", "Digest: sha256:"),
    ],
)
def test_pages_of_the_debug_address_answer(daemon: Sandbox, path: str, found: str) -> None:
    code, text = ask(daemon, path)
    assert code == 200
    if "seconds=" in path:  # a busy machine may give nobody a turn in so few
        eventually(lambda: found in ask(daemon, path)[1])
    else:
        assert found in text


def test_pages_that_are_asked_wrongly_refuse(daemon: Sandbox) -> None:
    assert ask(daemon, "/debug/pprof/heap?seconds=x") == (400, "invalid value for seconds: x\n")
    assert ask(daemon, "/debug/pprof/mutex")[0] == 404
    assert ask(daemon, "/nothing")[0] == 404
    assert ask(daemon, "/debug/cache/load")[0] == 405
    assert ask(daemon, "/debug/cache/load", "-d", "x")[0] == 400
    assert ask(daemon, "/debug/cache/lookup")[0] == 400


def test_lines_of_the_log_that_are_no_text(daemon: Sandbox) -> None:
    name = b"\xff" * 3
    head = b"POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{daemon.path}/docker.sock")
        client.sendall(
            head + b"X-Docker-Expose-Session-Uuid: " + name + b"\r\n\r\n" + b"garbage\n" * 100
        )
        while client.recv(1 << 16):
            pass
    words = ["curl", "-s", "--unix-socket", f"{daemon.path}/debug.sock", "http://d/debug/events"]
    told = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
    assert b"session " + name + b": " in told


def test_a_profile_under_way_keeps_no_daemon(tmp_path: Path) -> None:
    made = Sandbox(tmp_path)
    place = tmp_path / "debug.sock"
    with made.running("--debugaddr", f"unix://{place}"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o660
        url = "http://d/debug/pprof/profile?seconds=600"
        with subprocess.Popen(["curl", "-s", "--unix-socket", place, url]) as profile:
            eventually(lambda: "croze-sampler" in ask(made, "/debug/pprof/goroutine")[1])
            assert made.stop() == 0
            profile.wait()
    assert not place.exists()


def test_the_debug_address_removes_no_file(tmp_path: Path) -> None:
    made = Sandbox(tmp_path)
    file = tmp_path / "kept"
    file.write_text("mine")
    with made.killing(), pytest.raises(CommandFailed, match="exists and is not a socket"):
        made.start("--debugaddr", f"unix://{file}")
    assert file.read_text() == "mine"


def test_the_stores_keys(daemon: Sandbox) -> None:
    code, text = ask(daemon, "/debug/cache/store", "-H", "Accept: application/json")
    records = json.loads(text)
    assert code == 200
    assert [record["id"] for record in records] == list(range(1, len(records) + 1))
    assert any("parents" in record for record in records)


def test_what_keys_are_made_of(daemon: Sandbox) -> None:
    """From a key down to the file that was copied."""
    records = json.loads(ask(daemon, "/debug/cache/all", "-H", "Accept: application/json")[1])
    (lists,) = [r for r in records if r["type"] == "digest-list" and r.get("subRecords")]
    (listed,) = lists["subRecords"]
    while listed["type"] != "file":
        (listed,) = [r for r in listed["subRecords"] if r["type"] in ("file", "file-list")][-1:]
    code, text = ask(daemon, f"/debug/cache/lookup?digest={listed['digest']}")
    assert code == 200
    assert text.startswith(f"{listed['digest']} (file):\n  data: name\n  data: mode420\n")
    assert text.endswith("  skipping 4 bytes\n")
    unknown = f"sha256:{'0' * 64}"
    assert ask(daemon, f"/debug/cache/lookup?digest={unknown}") == (
        500,
        f"failed to get digest {unknown} from cache: not found\n",
    )


def test_the_flight_recorder_starts_samples_and_stops(daemon: Sandbox) -> None:
    path = "/debug/flight/trace"
    assert ask(daemon, path)[0] == 500
    assert ask(daemon, f"{path}/set_period", "-d", "period=3s")[0] == 200
    assert ask(daemon, f"{path}/set_period", "-d", "period=soon")[0] == 400
    assert ask(daemon, f"{path}/start", "-X", "POST")[0] == 200
    assert ask(daemon, f"{path}/start", "-X", "POST")[0] == 409
    assert ask(daemon, f"{path}/set_period", "-d", "period=3s")[0] == 412
    eventually(lambda: "MainThread;" in ask(daemon, path)[1])
    assert ask(daemon, f"{path}/stop", "-X", "POST")[0] == 200
    assert ask(daemon, f"{path}/stop", "-X", "POST")[0] == 409
