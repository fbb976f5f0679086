"""A registry or a disk that fails: another try where that helps, else one clear error, nothing left
behind, and the next build is fine."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.failing import failing
from tests.e2e.faulty import Fault, Faulty, faulty_registry
from tests.e2e.sandbox import CROZE, Sandbox
from tests.support.waiting import PATIENCE_S

COLD = ("prune", "--all", "--force")


@pytest.fixture
def faulty(local_registry: str) -> Iterator[Faulty]:
    with faulty_registry(local_registry) as made:
        yield made


@pytest.fixture
def pulls(sandbox: Sandbox, busybox: Path, local_registry: str, faulty: Faulty) -> Path:
    """A context that builds on an image behind the faulty registry."""
    push = sandbox.context("push", {"Dockerfile": "FROM base\n"})
    name = f"{local_registry}/faults:latest"
    sandbox.croze("build", *base(busybox), f"--output=type=image,name={name},push=true", push)
    sandbox.croze(*COLD)
    text = f"FROM {faulty.host}/faults\nRUN echo ran > /x\n"
    return sandbox.context("pull", {"Dockerfile": text})


def is_sound(sandbox: Sandbox) -> None:
    assert "0 problems" in sandbox.croze("debug", "verify").stdout
    assert os.listdir(sandbox.root / "ingest") == []


def test_pulls_are_tried_again(sandbox: Sandbox, pulls: Path, faulty: Faulty) -> None:
    # Of an image that nothing is here of the manifest is fetched without a question before.
    for what, method in (("503", "GET"), ("reset", "HEAD"), ("truncate", "HEAD")):
        faulty.faults = [Fault(what), Fault("503", method, "/manifests/")]
        sandbox.croze("build", "--pull", pulls)
        assert [fault.times for fault in faulty.faults] == [0, 0], what
        is_sound(sandbox)
        sandbox.croze(*COLD)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("corrupt", "unexpected digest"),
        ("404", "not found"),
        ("reset", "connection reset by peer"),
    ],
)
def test_pulls_that_fail_for_good(
    sandbox: Sandbox, pulls: Path, faulty: Faulty, what: str, message: str
) -> None:
    faulty.faults = [Fault(what, times=1000)]
    said = failing(sandbox, "build", pulls)
    errors = [line for line in said.splitlines() if line.startswith("ERROR:")]
    assert len(errors) == 1
    assert message in errors[0]
    is_sound(sandbox)
    faulty.faults.clear()
    sandbox.croze("build", pulls)
    is_sound(sandbox)


def test_a_pull_that_stalls_can_be_cancelled(sandbox: Sandbox, pulls: Path, faulty: Faulty) -> None:
    faulty.faults = [Fault("stall", times=1000)]
    with subprocess.Popen(
        [CROZE, "build", "--progress=plain", pulls], env=sandbox.env, stderr=subprocess.PIPE
    ) as client:
        assert faulty.stalled.wait(PATIENCE_S)
        client.send_signal(signal.SIGINT)
        assert client.stderr is not None
        said = client.stderr.read()
        assert client.wait(PATIENCE_S) == 130, said
    faulty.faults.clear()
    sandbox.croze("build", pulls)
    is_sound(sandbox)


def push_words(busybox: Path, name: str, context: Path) -> list[str | Path]:
    return ["build", *base(busybox), f"--output=type=image,name={name},push=true", context]


def test_pushes_are_tried_again(sandbox: Sandbox, busybox: Path, faulty: Faulty) -> None:
    for what, method in (("502", "PUT"), ("reset", "POST")):
        dockerfile = f"FROM base\nRUN echo {what} {method} > /x\n"
        context = sandbox.context("push", {"Dockerfile": dockerfile})
        faulty.faults = [Fault(what, method, "/blobs/uploads/")]
        sandbox.croze(*push_words(busybox, f"{faulty.host}/pushed", context))
        assert faulty.faults[0].times == 0
        is_sound(sandbox)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("500", "PUT", "/blobs/uploads/", 1000), "500 Internal Server Error"),
        (Fault("403", "PUT", "/manifests/", 1000), "403 Forbidden"),
    ],
)
def test_pushes_that_fail_for_good(
    sandbox: Sandbox, busybox: Path, faulty: Faulty, fault: Fault, message: str
) -> None:
    dockerfile = f"FROM base\nRUN echo {message} > /x\n"
    context = sandbox.context("push", {"Dockerfile": dockerfile})
    words = push_words(busybox, f"{faulty.host}/pushed", context)
    faulty.faults = [fault]
    said = failing(sandbox, *words)
    assert f"failed to push {faulty.host}/pushed" in said
    assert message in said
    faulty.faults.clear()
    sandbox.croze(*words)
    is_sound(sandbox)
