"""One event loop serves all: nothing on it waits for a thread, a process, a peer or a lock."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.support.waiting import PATIENCE_S

HOOKS = Path(__file__).parent / "blocking"
DOCKERFILE = """
FROM base AS one
COPY . /src/
RUN --mount=type=cache,target=/c --mount=type=secret,id=s cat /src/f /run/secrets/s > /out
FROM base
WORKDIR /w
COPY --from=one /out /out
ARG WAIT=0
RUN --mount=type=bind,from=one,source=/src,target=/m cat /m/f && sleep $WAIT
"""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path)
    made.extra_env = {"CROZE_TEST_BLOCKING": str(tmp_path / "blocking"), "PYTHONPATH": str(HOOKS)}
    with made.running():
        yield made


def told(sandbox: Sandbox) -> str:
    path = sandbox.path / "blocking"
    return path.read_text() if path.exists() else ""


def test_the_event_loop_waits_for_nobody(
    watched: Sandbox, busybox: Path, local_registry: str
) -> None:
    context = watched.context("busy", {"Dockerfile": DOCKERFILE, "f": "x" * 100_000})
    (watched.path / "secret").write_text("s")
    flags = [*base(busybox), "--secret", f"id=s,src={watched.path}/secret"]
    out, name = watched.path / "out", f"{local_registry}/blocking:1"
    outputs = [
        f"type=local,dest={out}",
        f"type=oci,dest={out}.oci",
        f"type=image,name={name},push=true",
    ]
    for output in outputs:
        watched.croze("build", *flags, "-o", output, context)
    cache = [
        "--cache-to",
        f"type=local,dest={out}.cache",
        "--cache-from",
        f"type=local,src={out}.cache",
    ]
    watched.croze("build", *flags, *cache, "--no-cache", "-t", "kept", context)
    watched.croze("run", "--rm", "kept", "true")
    cancelled(watched, [*flags, "--no-cache", context])
    for words in (["du"], ["images"], ["why"], ["rmi", "kept"], ["prune", "-af"]):
        watched.croze(*words, check=False)
    pulled = watched.context("pulled", {"Dockerfile": f"FROM {name}\nRUN true\n"})
    watched.croze("build", pulled)
    assert told(watched) == ""


def cancelled(sandbox: Sandbox, words: list[str | Path]) -> None:
    """A build that is interrupted while a step runs."""
    command: list[str | Path] = [CROZE, "build", "--progress=plain", *words]
    command += ["--build-arg", "WAIT=100"]
    with subprocess.Popen(command, env=sandbox.env, stderr=subprocess.PIPE) as build:
        assert build.stderr is not None
        next(line for line in build.stderr if b"] RUN" in line)
        build.send_signal(signal.SIGINT)
        build.communicate(timeout=PATIENCE_S)


def test_the_watch_sees(tmp_path: Path) -> None:
    """It tells of what it is there for."""
    program = "import asyncio, time\nasync def f(): time.sleep(0)\nasyncio.run(f())"
    made = Sandbox(tmp_path)
    made.extra_env = {"CROZE_TEST_BLOCKING": str(tmp_path / "blocking"), "PYTHONPATH": str(HOOKS)}
    subprocess.run([*made.python, "-c", program], env=made.env, check=True)
    assert "time.sleep" in told(made)
