"""Debian's unmodified `docker-buildx`, old and new, with a remote builder on `crozed`."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import BUILDX, REPO, Sandbox, execute
from tests.support.ssh_agent import ssh_agent

pytestmark = pytest.mark.parametrize("suite", sorted(BUILDX))


def test_buildx_builds_the_example(sandbox: Sandbox, suite: str) -> None:
    toolchain = REPO / ".cache" / "toolchain"
    execute([REPO / "examples/hello/make-toolchain.sh", toolchain], os.environ)
    (sandbox.path / "greeting").write_text("Hei")
    out = sandbox.path / "out"
    flags = ["--build-context", f"toolchain={toolchain}", "-o", str(out)]
    flags += ["--secret", f"id=greeting,src={sandbox.path}/greeting"]
    sandbox.buildx(suite, "build", *flags, REPO / "examples/hello")
    assert (
        subprocess.run([out / "hello"], capture_output=True, check=True).stdout == b"Hei, world!\n"
    )


def test_plain_progress_and_cache(sandbox: Sandbox, busybox: Path, app: Path, suite: str) -> None:
    flags = [*base(busybox), "--progress=plain", "-o", "type=cacheonly"]
    first = sandbox.buildx(suite, "build", *flags, app).stderr
    assert "[build 3/4] RUN cat one two > /both" in first
    second = sandbox.buildx(suite, "build", *flags, app).stderr
    assert second.count("CACHED") >= 4, second


def test_local_and_tar(sandbox: Sandbox, busybox: Path, app: Path, suite: str) -> None:
    out, tar = sandbox.path / "out", sandbox.path / "out.tar"
    sandbox.buildx(suite, "build", *base(busybox), "-o", f"type=local,dest={out}", app)
    assert (out / "both").read_text() == "1\n2\n"
    sandbox.buildx(suite, "build", *base(busybox), "-o", f"type=tar,dest={tar}", app)
    with tarfile.open(tar) as archive:
        assert "both" in {name.removeprefix("./") for name in archive.getnames()}


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_archives_that_buildx_asks_for_are_read_by_skopeo(
    sandbox: Sandbox, busybox: Path, app: Path, suite: str, kind: str
) -> None:
    archive = sandbox.path / "app.tar"
    output = f"type={kind},dest={archive},name=app:one"
    sandbox.buildx(suite, "build", *base(busybox), "-o", output, app)
    transport = "oci-archive" if kind == "oci" else "docker-archive"
    inspected = execute(["skopeo", "inspect", f"{transport}:{archive}"], os.environ).stdout
    assert json.loads(inspected)["Labels"] == {"org.example.kind": "test"}


def test_what_buildx_pushes_has_the_digest_it_tells(
    sandbox: Sandbox, busybox: Path, app: Path, local_registry: str, suite: str
) -> None:
    name = f"{local_registry}/buildx-{suite}/app:v1"
    metadata = sandbox.path / "metadata.json"
    flags: list[str | Path] = ["-t", name, "--push", "--metadata-file", metadata]
    sandbox.buildx(suite, "build", *base(busybox), *flags, app)
    inspect = ["skopeo", "inspect", "--tls-verify=false", f"docker://{name}"]
    digest = json.loads(execute(inspect, os.environ).stdout)["Digest"]
    assert digest == json.loads(metadata.read_text())["containerimage.digest"]


def test_secrets_and_ssh(sandbox: Sandbox, busybox: Path, suite: str) -> None:
    dockerfile = (
        "FROM base\n"
        "RUN --mount=type=secret,id=token test $(cat /run/secrets/token) = one\n"
        "RUN --mount=type=ssh test -S $SSH_AUTH_SOCK\n"
    )
    context = sandbox.context("mounts", {"Dockerfile": dockerfile})
    (sandbox.path / "token").write_text("one")
    with ssh_agent(sandbox.path / "agent.sock") as agent:
        flags = ["--secret", f"id=token,src={sandbox.path}/token"]
        flags += ["--ssh", f"default={agent}", "-o", "type=cacheonly"]
        sandbox.buildx(suite, "build", *base(busybox), *flags, context)


def test_a_failing_run_shows_the_excerpt(sandbox: Sandbox, busybox: Path, suite: str) -> None:
    context = sandbox.context("bad", {"Dockerfile": "FROM base\nRUN echo last words; exit 7\n"})
    done = sandbox.buildx(suite, "build", *base(busybox), "--progress=plain", context, check=False)
    assert done.code == 1
    assert "last words" in done.stderr
    assert ">>> RUN echo last words; exit 7" in done.stderr
    message = 'process "/bin/sh -c echo last words; exit 7" did not complete successfully'
    assert f"{message}: exit code: 7" in done.stderr


def test_a_syntax_error_shows_the_excerpt(sandbox: Sandbox, suite: str) -> None:
    context = sandbox.context("bad", {"Dockerfile": "FROM scratch\nCOPPY a b\n"})
    done = sandbox.buildx(suite, "build", context, check=False)
    assert done.code == 1
    assert ">>> COPPY a b" in done.stderr
    assert "unknown instruction: COPPY (did you mean COPY?)" in done.stderr


def test_du_prune_and_inspect(sandbox: Sandbox, busybox: Path, app: Path, suite: str) -> None:
    sandbox.buildx(suite, "build", *base(busybox), "-o", "type=cacheonly", app)
    assert "linux/amd64" in sandbox.buildx(suite, "inspect").stdout
    assert "cat one two" in sandbox.buildx(suite, "du", "--verbose").stdout
    sandbox.buildx(suite, "prune", "-a", "-f")
    assert "cat one two" not in sandbox.buildx(suite, "du", "--verbose").stdout
