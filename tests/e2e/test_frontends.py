"""Frontends that are images, containers that frontends open, and the clients that use them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from croze import llb
from tests.e2e.python_root import make_root
from tests.e2e.sandbox import BUILDX, REPO, Sandbox, execute
from tests.e2e.terminal import Terminal

FRONTEND_DOCKERFILE = """\
FROM scratch
COPY --from=python . /
ENV PYTHONPATH=/site
COPY frontend.py /frontend.py
LABEL moby.buildkit.frontend.network.none=true
LABEL moby.buildkit.frontend.caps=moby.buildkit.frontend.inputs
ENTRYPOINT ["/usr/bin/python3", "/frontend.py"]
"""
PACKFILE = """\
# syntax={frontend}
from = "{base}"
cmd = ["cat", "/greeting"]

[copy]
"hello.txt" = "/greeting"

[run]
count = "wc -c < /greeting > /count; echo $WHO >> /count"
"""


@dataclass(frozen=True)
class Registry:
    """What is in the registry."""

    host: str

    @property
    def base(self) -> str:
        return f"{self.host}/base/busybox:latest"

    def frontend(self, name: str) -> str:
        return f"{self.host}/frontends/{name}:1"


@pytest.fixture(scope="module")
def python_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("python") / "root")


@pytest.fixture(scope="module")
def images(desk: Sandbox, busybox: Path, local_registry: str, python_root: Path) -> Registry:
    """A base image and the example's frontend, pushed."""
    registry = Registry(local_registry)
    push(busybox, registry.base)
    context = desk.context("frontend", {"Dockerfile": FRONTEND_DOCKERFILE})
    shutil.copy(REPO / "examples/frontend/frontend.py", context)
    flags = ["--build-context", f"python={python_root}", "-t", registry.frontend("pack"), "--push"]
    desk.croze("build", *flags, context)
    return registry


def push(layout: Path, name: str) -> None:
    skopeo = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"]
    execute([*skopeo, f"oci:{layout}:latest", f"docker://{name}"], {"PATH": "/usr/bin:/bin"})


def pack(desk: Sandbox, images: Registry, text: str = PACKFILE) -> Path:
    filled = text.format(frontend=images.frontend("pack"), base=images.base)
    return desk.context("pack", {"Packfile": filled, "hello.txt": "hello\n"})


def test_the_example_frontend(desk: Sandbox, images: Registry) -> None:
    context = pack(desk, images)
    out = desk.path / "out"
    flags: list[str | Path] = ["-f", context / "Packfile", "--build-arg", "WHO=me"]
    done = desk.croze("build", *flags, "--progress=plain", "-o", out, context)
    assert (out / "count").read_text() == "6\nme\n"
    assert "packing Packfile" in done.stderr
    desk.croze("build", *flags, "-t", "packed", context)
    assert desk.croze("run", "packed").stdout == "hello\n"


def test_errors_of_a_frontend_come_to_the_user(desk: Sandbox, images: Registry) -> None:
    context = pack(desk, images, "# syntax={frontend}\nfrom = \n")
    failed = desk.croze("build", "-f", context / "Packfile", context, check=False)
    assert failed.code == 1
    assert "Packfile: Invalid value" in failed.stderr
    assert "> [internal] frontend" not in failed.stderr  # its log says nothing more
    context = pack(desk, images, PACKFILE + 'fail = "exit 7"\n')
    failed = desk.croze("build", "-f", context / "Packfile", context, check=False)
    assert "exit code: 7" in failed.stderr


def test_buildx_with_a_frontend(desk: Sandbox, images: Registry) -> None:
    """Buildx runs the Dockerfile's frontend, which the daemon forwards to the image."""
    context, out = pack(desk, images), desk.path / "buildx-out"
    desk.buildx("sid", "build", "-f", context / "Packfile", "-o", out, context)
    assert (out / "count").read_text() == "6\n\n"


def test_the_option_names_a_frontend_and_caps_are_checked(desk: Sandbox, images: Registry) -> None:
    context = desk.context("plain", {"Dockerfile": "FROM scratch\n"})
    syntax = ["--build-arg", f"BUILDKIT_SYNTAX={images.frontend('pack')}"]
    failed = desk.croze("build", *syntax, context, check=False)
    assert "Dockerfile: Invalid" in failed.stderr or "Dockerfile: Expected" in failed.stderr
    failed = desk.croze("build", *syntax, "--call=outline", context, check=False)
    assert "unsupported frontend capability moby.buildkit.frontend.subrequests" in failed.stderr


def test_only_allowed_frontends_run(sandbox: Sandbox, images: Registry) -> None:
    sandbox.stop()
    config = sandbox.path / "buildkitd.toml"
    config.write_text('[frontend."gateway.v0"]\nallowedRepositories = ["docker.io/me/mine"]\n')
    sandbox.start("--config", str(config))
    context = pack(sandbox, images)
    failed = sandbox.croze("build", "-f", context / "Packfile", context, check=False)
    assert f"'{images.frontend('pack')}' is not an allowed gateway source" in failed.stderr
    sandbox.stop()
    config.write_text('[frontend."gateway.v0"]\nenabled = false\n')
    sandbox.start("--config", str(config))
    failed = sandbox.croze("build", "-f", context / "Packfile", context, check=False)
    assert "invalid frontend: gateway.v0" in failed.stderr


def test_definitions_are_built_and_shown(desk: Sandbox, images: Registry) -> None:
    command = ["sh", "-c", "cat /in/hello.txt > /out.txt"]
    step = llb.image(images.base).run(command, mounts=[llb.bind("/in", llb.local("src"))])
    definition = step.root.marshal().SerializeToString()
    context, out = pack(desk, images), desk.path / "llb-out"
    flags = ["--progress=plain", "--local", f"src={context}", "-o", str(out)]
    desk.croze("llb", "build", *flags, stdin=definition)
    assert (out / "out.txt").read_text() == "hello\n"
    lines = desk.croze("llb", "dump", stdin=definition).stdout.splitlines()
    ops = [json.loads(line)["Op"] for line in lines]
    assert {"source", "exec"} <= {kind for op in ops for kind in op}
    about = desk.path / "llb-metadata.json"
    flags += ["--no-cache", "--metadata-file", str(about)]
    again = desk.croze("llb", "build", *flags, stdin=definition).stderr
    assert "CACHED" not in again
    assert isinstance(json.loads(about.read_text()), dict)
    policy = desk.path / "llb-policy.json"
    rule = {"action": "DENY", "selector": {"identifier": "local://*"}}
    policy.write_text(json.dumps({"rules": [rule]}))
    flags += ["--source-policy-file", str(policy)]
    denied = desk.croze("llb", "build", *flags, stdin=definition, check=False)
    assert 'source "local://src" denied by policy' in denied.stderr
    failed = desk.croze("llb", "build", stdin=b"junk", check=False)
    assert "failed to parse the definition" in failed.stderr
    context = desk.context("dumped", {"Dockerfile": "FROM scratch\nCOPY . /here\n"})
    shown = json.loads(desk.croze("llb", "dump", context).stdout)
    assert any("file" in op for op in shown["def"].values())


def test_source_policies_convert_and_deny(desk: Sandbox, images: Registry) -> None:
    selector = {"identifier": "docker-image://docker.io/library/nothing:*"}
    updates = {"identifier": f"docker-image://{images.base}"}
    convert = {"action": "CONVERT", "selector": selector, "updates": updates}
    context = desk.context("policy", {"Dockerfile": "FROM nothing:1\nRUN echo yes > /yes\n"})
    policy, out = desk.path / "policy.json", desk.path / "policy-out"
    policy.write_text(json.dumps({"version": 1, "rules": [convert]}))
    desk.extra_env["EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"] = str(policy)
    try:
        desk.buildx("sid", "build", "-o", out, context)
        assert (out / "yes").read_text() == "yes\n"
        own = desk.path / "policy-own"
        desk.croze("build", "-o", str(own), context)
        assert (own / "yes").read_text() == "yes\n"
        # What stands for an image need not be one.
        local = {**convert, "updates": {"identifier": "local://context"}}
        policy.write_text(json.dumps({"version": 1, "rules": [local]}))
        named = desk.context("policy-named", {"Dockerfile": "FROM scratch\nCOPY --from=n . /\n"})
        desk.buildx(
            "sid", "build", "-o", out, "--build-context", "n=docker-image://nothing:2", named
        )
        assert "COPY --from=n" in (out / "Dockerfile").read_text()
        deny = {"action": "DENY", "selector": {"identifier": "docker-image://*"}}
        policy.write_text(json.dumps({"version": 1, "rules": [deny]}))
        failed = desk.buildx("sid", "build", context, check=False)
        assert "denied by policy" in failed.output
    finally:
        desk.extra_env.clear()


@pytest.mark.parametrize(
    ("suite", "on", "last"), [("trixie", "always", "true"), ("sid", "error", "exit 9")]
)
def test_buildx_opens_a_shell(
    desk: Sandbox, images: Registry, suite: str, on: str, last: str
) -> None:
    """The debugger of buildx: a shell in what was built, or in the step that failed."""
    dockerfile = f"FROM {images.base}\nRUN echo one > /one; {last}\n"
    context = desk.context(f"shell-{suite}", {"Dockerfile": dockerfile})
    desk.buildx(suite, "ls")
    words = ["debug", "--invoke=/bin/sh", f"--on={on}", "build", str(context)]
    env = {**desk.env, "BUILDX_EXPERIMENTAL": "1", "TERM": "xterm"}
    with Terminal([str(BUILDX[suite]), "--builder", "croze", *words], env) as terminal:
        terminal.expect("/ # ")
        terminal.send("cat /one; echo $((6 * 7))\r")
        assert "one" in terminal.expect("42")
        terminal.expect("/ # ")
        loop = "trap 'echo cau''ght; exit' INT; echo rea''dy; while :; do sleep 0.02; done"
        terminal.send(f'sh -c "{loop}"\r')
        terminal.expect("ready")
        terminal.send("\x03")
        terminal.expect("caught")
        terminal.expect("/ # ")
        terminal.send("exit 3\r")
        terminal.expect("exit code: 3")
        terminal.send("exit\r")


def test_a_version_of_the_dockerfiles_frontend_is_run(sandbox: Sandbox, images: Registry) -> None:
    """Not the built-in one: here the image of that name is another language's."""
    copy = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false"]
    ours = [f"docker://{images.frontend('pack')}", f"docker://{images.host}/docker/dockerfile:1.4"]
    execute([*copy, "--dest-tls-verify=false", *ours], {"PATH": "/usr/bin:/bin"})
    inspect = ["skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}", ours[1]]
    digest = execute(inspect, {"PATH": "/usr/bin:/bin"}).stdout.strip()
    config = sandbox.path / "crozed.toml"
    config.write_text(f'[registry."docker.io"]\nmirrors = ["{images.host}"]\n')
    sandbox.stop()
    sandbox.start("--config", str(config))
    for name in ("docker/dockerfile:1.4", f"docker/dockerfile:1@{digest}"):
        text = PACKFILE.format(frontend=name, base=images.base)
        context = sandbox.context("pinned", {"Packfile": text, "hello.txt": "hello\n"})
        words = ["build", "-f", str(context / "Packfile"), "--progress=plain", str(context)]
        assert f"[internal] frontend {name}" in sandbox.croze(*words).stderr
    (context / "Packfile").write_text("# syntax=docker/dockerfile:1.3\nFROM scratch\n")
    gone = sandbox.croze(*words, check=False)
    assert gone.code == 1
    assert "docker.io/docker/dockerfile:1.3" in gone.stderr
    (context / "Packfile").write_text("# syntax=docker/dockerfile:1\nFROM scratch\nCOPY . /\n")
    assert "[internal] frontend" not in sandbox.croze(*words).stderr
