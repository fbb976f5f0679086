"""Croze in the place of Docker's own plugin, called by the real Docker CLI."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.sandbox import CROZE, Sandbox, execute

pytestmark = [pytest.mark.e2e, pytest.mark.root]


@pytest.fixture
def docker(sandbox: Sandbox) -> Sandbox:
    """`docker buildx` means Croze there."""
    plugins = sandbox.path / ".docker/cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(CROZE)
    return sandbox


def test_docker_builds_with_it(docker: Sandbox) -> None:
    context = docker.context("plugin", {"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "1"})
    out = docker.path / "out"
    execute(["docker", "buildx", "build", "-o", out, context], docker.env)
    assert (out / "a").read_text() == "1"
    listed = execute(["docker", "buildx", "ls"], docker.env).stdout
    assert listed.splitlines()[1].split()[0] == "croze*"


def test_dockers_flags_are_its_flags(docker: Sandbox) -> None:
    endpoint = "host=tcp://127.0.0.1:1"
    execute(["docker", "context", "create", "far", "--docker", endpoint], docker.env)
    chosen = execute(["docker", "--context", "far", "buildx", "ls"], docker.env)
    assert "far" in chosen.stdout
    assert "Cannot connect to the Docker daemon at tcp://127.0.0.1:1" in chosen.stderr
    host = execute(["docker", "-H", "tcp://127.0.0.1:2", "buildx", "ls"], docker.env)
    assert "Cannot connect to the Docker daemon at tcp://127.0.0.1:2" in host.stderr


def test_it_says_who_it_is(sandbox: Sandbox) -> None:
    told = json.loads(sandbox.croze("docker-cli-plugin-metadata").stdout)
    assert told["SchemaVersion"] == "0.1.0"
    assert told["Vendor"] == "Croze"


def test_who_compares_versions_finds_those_of_what_it_replaces(docker: Sandbox) -> None:
    """As actions-toolkit and Compose read them, which else leave out what 0.1 didn't know."""
    told = execute(["docker", "buildx", "version"], docker.env).stdout
    from_context = ["docker", "--context", "default", "buildx", "version"]
    assert execute(from_context, docker.env).stdout == told
    metadata = json.loads(docker.croze("docker-cli-plugin-metadata").stdout)
    inspected = execute(["docker", "buildx", "inspect", "--bootstrap"], docker.env).stdout
    daemon = re.search(r"BuildKit version: (v\S+)", inspected)
    assert daemon is not None
    found = []
    for text in (told, f" {metadata['Version']}", f" {daemon[1]}"):
        version = re.search(r"\sv?([0-9a-f]{7}|[0-9.]+)", text)  # the toolkit's own expression
        assert version is not None
        assert re.fullmatch(r"v\d+\.\d+\.\d+\+croze\.[0-9.]+", text.split()[-1])
        found.append([int(part) for part in version[1].split(".")])
    assert found[0] == found[1]
    assert found[0] >= [0, 17, 0]
    assert found[2] >= [0, 11, 0]
    assert docker.croze("version").stdout.startswith("croze v")


def test_install_is_an_alias_and_keeps_the_rest(sandbox: Sandbox) -> None:
    config = sandbox.path / ".docker/config.json"
    config.parent.mkdir(exist_ok=True)
    config.write_text('{"auths": {"h": {}}, "aliases": {"x": "y"}}')
    note = (
        "is deprecated, use 'docker buildx' directly, without relying on the 'docker builder' alias"
    )
    assert sandbox.croze("install").stderr == f'Command "install" {note}\n'
    assert json.loads(config.read_text()) == {
        "auths": {"h": {}},
        "aliases": {"x": "y", "builder": "buildx"},
    }
    assert sandbox.croze("uninstall").stderr == f'Command "uninstall" {note}\n'
    assert json.loads(config.read_text()) == {"auths": {"h": {}}, "aliases": {"x": "y"}}
    config.write_text("{")
    failed = sandbox.croze("install", check=False)
    assert failed.code == 1
    assert f"{config}: " in failed.stderr
    assert config.read_text() == "{"


def test_a_daemon_is_reached_through_standard_streams(sandbox: Sandbox, tmp_path: Path) -> None:
    """What a program named `ssh` carries here is what `croze dial-stdio` carries."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec {CROZE} --builder {sandbox.address} dial-stdio\n")
    ssh.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{sandbox.env['PATH']}"}
    context = sandbox.context("far", {"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "1"})
    sandbox.croze("create", "--driver", "remote", "--name", "far", "ssh://host", env=env)
    out = sandbox.path / "far-out"
    sandbox.croze("build", "--builder", "far", "-o", out, context, env=env)
    assert (out / "a").read_text() == "1"


def test_dial_stdio_ends_with_its_caller(sandbox: Sandbox, tmp_path: Path) -> None:
    link = tmp_path / "buildctl"
    link.symlink_to(CROZE)
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.touch()
    for program, flag in ((CROZE, "--builder"), (link, "--addr")):
        words: list[str | Path] = [program, flag, sandbox.address, "dial-stdio"]
        piped = execute(words, sandbox.env, stdin=b"")
        assert (piped.code, piped.stderr) == (0, "")
        for source in ("/dev/null", empty):  # of which nobody can be told that they are ready
            shell: list[str | Path] = ["sh", "-c", f'exec "$@" <{source} >{out}', "-", *words]
            assert execute(shell, sandbox.env).stderr == ""
            assert out.stat().st_size > 20


def test_dial_stdio_tells_what_it_does(sandbox: Sandbox) -> None:
    """In buildx's words, when that is asked for."""
    words = ("--builder", sandbox.address, "dial-stdio", "--progress=plain")
    lines = sandbox.croze(*words).stderr.splitlines()
    assert lines[0].startswith("#0 builder: ")
    assert lines[2] == "#1 Proxying to builder"
    assert any(line.startswith("#1 Dialing builder") for line in lines)


def test_docker_desktop_has_a_page_of_each_build(sandbox: Sandbox, tmp_path: Path) -> None:
    context = sandbox.context("desk", {"Dockerfile": "FROM scratch AS a\nCOPY a /a\n", "a": "1"})
    (context / "Bad").write_text("FROM scratch\nCOPY nope /\n")
    targets = "".join(f'target "{n}" {{\n context = "."\n}}\n' for n in ("x", "y"))
    (context / "docker-bake.hcl").write_text(targets)
    sandbox.croze("create", "--driver", "remote", "--name", "desk", sandbox.address)
    build = ("--builder", "desk", "build", "-o", "type=cacheonly")
    page = r"\nView build details: docker-desktop://dashboard/build/desk/desk0/[0-9a-z]{25}\n$"
    assert "details" not in sandbox.croze(*build, context).stderr
    used = sandbox.path / ".docker/desktop-build/.lastaccess"
    used.parent.mkdir(parents=True)
    used.touch()
    assert re.search(page, sandbox.croze(*build, context).stderr)
    for mode in ("plain", "rawjson", "quiet"):
        words = (*build, f"--progress={mode}", "-f", context / "Bad", context)
        assert re.search(page, sandbox.croze(*words, check=False).stderr)
    for flag in ("--progress=rawjson", "-q", "--call=outline"):
        assert "details" not in sandbox.croze(*build, flag, context).stderr
    baked = sandbox.croze("--builder", "desk", "bake", "x", "y", cwd=context).stderr
    each = page.removeprefix(r"\nView build details: ").removesuffix("$")
    assert re.search(rf"\nView build details: \n  x: {each}  y: {each}$", baked)
