"""`RUN --device`: a device of the host's CDI specs in a step, and who must allow it."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox

SPEC = """
cdiVersion: "0.6.0"
kind: croze.example/null
devices:
- name: mine
  containerEdits:
    env: [DEVICE=mine]
    deviceNodes: [{path: /dev/mine, hostPath: /dev/null}]
"""
DOCKERFILE = """\
# syntax=docker/dockerfile:1-labs
FROM base
RUN --device=croze.example/null test -c /dev/mine && echo x > /dev/mine && echo $DEVICE > /out
"""


def test_a_step_with_a_device(sandbox: Sandbox, busybox: Path) -> None:
    folder, out = sandbox.path / "cdi", sandbox.path / "out"
    folder.mkdir()
    sandbox.stop()
    sandbox.start("--cdi-spec-dir", str(folder))
    (folder / "null.yaml").write_text(SPEC)
    context = sandbox.context("device", {"Dockerfile": DOCKERFILE})
    build: list[str | Path] = ["build", *base(busybox), context]
    refused = sandbox.croze(*build, check=False).stderr
    assert "device croze.example/null=mine is requested by the build but not allowed" in refused
    sandbox.croze(*build, "--allow", "device=croze.example/null", "-o", out)
    assert (out / "out").read_text() == "mine\n"
    assert "croze.example/null=mine" in sandbox.buildx("sid", "inspect").output
