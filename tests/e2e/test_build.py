"""`croze build` through the real CLI and daemon, into every kind of output."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import REPO, Sandbox, execute
from tests.support.ssh_agent import ssh_agent


def test_build_and_run(sandbox: Sandbox, busybox: Path, app: Path) -> None:
    done = sandbox.croze("build", *base(busybox), "-t", "app", app)
    assert "naming to app" in done.stderr
    assert sandbox.croze("run", "app").stdout == "1\n2\n"
    assert sandbox.croze("run", "app", "sh", "-c", "echo $GREETING; exit 3", check=False).code == 3
    assert "app" in sandbox.croze("images").stdout


def test_second_build_is_cached_and_a_change_is_not(
    sandbox: Sandbox, busybox: Path, app: Path
) -> None:
    sandbox.croze("build", *base(busybox), "-t", "app", app)
    again = sandbox.croze("build", *base(busybox), "-t", "app", "--progress=plain", app).stderr
    assert "[build 3/4] RUN cat one two > /both\n#" in again
    assert again.count("CACHED") >= 4, again
    (app / "two").write_text("changed\n")
    sandbox.croze("build", *base(busybox), "-t", "app", app)
    assert sandbox.croze("run", "app").stdout == "1\nchanged\n"


def test_cache_survives_a_restart_and_a_kill(sandbox: Sandbox, busybox: Path, app: Path) -> None:
    sandbox.croze("build", *base(busybox), "-t", "app", app)
    sandbox.stop(9)
    assert sandbox.wait_no_leftovers() == []
    sandbox.start()
    again = sandbox.croze("build", *base(busybox), "--progress=plain", app).stderr
    assert "RUN cat one two > /both" in again
    assert again.count("CACHED") >= 4, again


def test_local_and_tar_outputs(sandbox: Sandbox, busybox: Path, app: Path) -> None:
    out = sandbox.path / "out"
    sandbox.croze("build", *base(busybox), "-o", f"type=local,dest={out}", app)
    assert (out / "both").read_text() == "1\n2\n"
    tar = sandbox.path / "out.tar"
    sandbox.croze("build", *base(busybox), "-o", f"type=tar,dest={tar}", app)
    with tarfile.open(tar) as archive:
        member = archive.extractfile("both")
        assert member is not None
        assert member.read() == b"1\n2\n"


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_archives_are_valid(sandbox: Sandbox, busybox: Path, app: Path, kind: str) -> None:
    archive = sandbox.path / "app.tar"
    output = f"type={kind},dest={archive},name=app:one"
    sandbox.croze("build", *base(busybox), "-o", output, app)
    scheme = "oci-archive" if kind == "oci" else "docker-archive"
    copy = sandbox.path / "copy"
    skopeo = ["skopeo", "--insecure-policy", "copy", f"{scheme}:{archive}", f"oci:{copy}:app"]
    execute(skopeo, os.environ)
    config = json.loads(
        execute(["skopeo", "inspect", "--config", f"oci:{copy}:app"], os.environ).stdout
    )
    assert config["config"]["Labels"] == {"org.example.kind": "test"}
    assert "GREETING=hello" in config["config"]["Env"]
    bundle = sandbox.path / "bundle"
    execute(["umoci", "unpack", "--image", f"{copy}:app", str(bundle)], os.environ)
    assert (bundle / "rootfs/both").read_text() == "1\n2\n"


def test_push_to_a_registry(
    sandbox: Sandbox, busybox: Path, app: Path, local_registry: str
) -> None:
    name = f"{local_registry}/pushed/app:v1"
    metadata = sandbox.path / "metadata.json"
    flags: list[str | Path] = ["-t", name, "--push", "--metadata-file", metadata]
    sandbox.croze("build", *base(busybox), *flags, app)
    inspected = execute(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{name}"], os.environ
    ).stdout
    assert (
        json.loads(inspected)["Digest"] == json.loads(metadata.read_text())["containerimage.digest"]
    )


def test_from_a_registry_is_lazy(
    sandbox: Sandbox, busybox: Path, app: Path, local_registry: str
) -> None:
    """An image that only lends its config and layers to a pushed image is never downloaded."""
    name = f"{local_registry}/base/busybox:latest"
    execute(
        [
            *("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"),
            *(f"oci:{busybox}:latest", f"docker://{name}"),
        ],
        os.environ,
    )
    context = sandbox.context("lazy", {"Dockerfile": f"FROM {name}\nENV A=b\n"})
    sandbox.croze("build", "-t", f"{local_registry}/base/derived:1", "--push", context)
    layer = json.loads(
        execute(["skopeo", "inspect", "--tls-verify=false", f"docker://{name}"], os.environ).stdout
    )["Layers"][0]
    assert not (sandbox.root / "blobs/sha256" / layer.removeprefix("sha256:")).exists()


def test_secrets_ssh_and_cache_mounts(sandbox: Sandbox, busybox: Path, tmp_path: Path) -> None:
    dockerfile = (
        "FROM base\n"
        "RUN --mount=type=secret,id=token cat /run/secrets/token | sha256sum > /sum\n"
        "RUN --mount=type=secret,id=other,env=OTHER test $OTHER = two\n"
        "ARG ROUND\n"
        "RUN --mount=type=cache,target=/cache echo x >> /cache/lines; wc -l < /cache/lines > /n\n"
        "RUN --mount=type=ssh test -S $SSH_AUTH_SOCK\n"
        "RUN --mount=type=tmpfs,target=/scratch touch /scratch/a\n"
    )
    context = sandbox.context("mounts", {"Dockerfile": dockerfile})
    (sandbox.path / "token").write_text("one")
    with ssh_agent(sandbox.path / "agent.sock") as agent:
        out = sandbox.path / "out"
        flags = ["--secret", f"id=token,src={sandbox.path}/token", "--secret", "id=other,env=TWO"]
        flags += ["--ssh", f"default={agent}", "-o", str(out)]
        for number, more, lines in (("1", (), "1"), ("2", (), "2"), ("3", ("--no-cache",), "1")):
            round = f"--build-arg=ROUND={number}"
            sandbox.croze(
                "build", *base(busybox), *flags, round, *more, context, env={"TWO": "two"}
            )
            assert (out / "n").read_text().strip() == lines
        assert not (out / "run").exists()
        assert not (out / "scratch").exists()


def test_context_from_stdin(sandbox: Sandbox, busybox: Path) -> None:
    out = sandbox.path / "out"
    sandbox.croze(
        "build", *base(busybox), "-o", out, "-", stdin=b"FROM base\nRUN echo piped > /piped\n"
    )
    assert (out / "piped").read_text() == "piped\n"


def test_the_daemon_starts_by_itself(tmp_path: Path, busybox: Path) -> None:
    sandbox = Sandbox(tmp_path)
    context = sandbox.context("x", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    done = sandbox.croze("build", "-t", "x", context)
    assert "starting" not in done.stderr
    assert sandbox.croze("images").stdout.count("\n") == 2
    sandbox.croze("build", *base(busybox), "--network=host", "-", stdin=b"FROM base\nRUN id\n")
    pid = int((sandbox.root / "crozed.pid").read_text())
    os.kill(pid, 15)
    assert sandbox.wait_no_leftovers() == []


def test_the_example_builds_and_runs(sandbox: Sandbox) -> None:
    toolchain = REPO / ".cache" / "toolchain"
    execute([REPO / "examples/hello/make-toolchain.sh", toolchain], os.environ)
    (sandbox.path / "greeting").write_text("Hei")
    flags = ["--build-context", f"toolchain={toolchain}", "-t", "hello"]
    flags += ["--secret", f"id=greeting,src={sandbox.path}/greeting"]
    sandbox.croze("build", *flags, REPO / "examples/hello")
    assert sandbox.croze("run", "hello").stdout == "Hei, world!\n"
    assert sandbox.croze("run", "hello", "maailma").stdout == "Hei, maailma!\n"


def test_copies_of_a_context_are_apart(sandbox: Sandbox, busybox: Path) -> None:
    """Files in layers may be links of the context's: no step can tell."""
    lines = ["FROM base", "COPY dir /a", "COPY dir /b", "RUN test ! /a/one -ef /b/one"]
    lines.append("RUN echo written > /a/one; chmod 700 /b/one; cat /a/one /b/one > /both")
    folder = sandbox.context("twice", {"Dockerfile": "\n".join(lines), "dir/one": "1\n"})
    out = sandbox.path / "out"
    sandbox.croze("build", *base(busybox), "-o", str(out), folder)
    assert (out / "both").read_text() == "written\n1\n"
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY dir /a\n")
    (folder / "dir/two").write_text("2\n")
    sandbox.croze("build", "-o", str(sandbox.path / "again"), folder)
    assert (sandbox.path / "again/a/one").read_text() == "1\n"
    assert (sandbox.path / "again/a/one").stat().st_mode & 0o777 != 0o700
