"""Builders: the same arguments to buildx and to croze, on the same files and daemon."""

from __future__ import annotations

import json
import re
import sys

import pytest

from tests.e2e.carrier import CARRIER
from tests.e2e.sandbox import BUILDX, Done, Sandbox, execute

pytestmark = [pytest.mark.e2e, pytest.mark.root]
SUITE = "sid"


def buildx(sandbox: Sandbox, *words: str) -> Done:
    return execute([BUILDX[SUITE], *words], sandbox.env, check=False)


def files(sandbox: Sandbox) -> dict[str, str]:
    """What is kept of builders, times aside."""
    folder = sandbox.path / ".docker/buildx"
    found = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): "" if path.parent.name == "activity" else path.read_text()
        for path in found
        if path.name != ".lock"
    }


def said(done: Done, name: str) -> tuple[int, list[str]]:
    """Exit code and lines, without the program's name and what only one of them adds."""
    text = re.sub(rf"(docker-{name}: )?'(docker-)?{name} ", "'X ", done.output)
    text = re.sub(r" {2,}", "  ", re.sub(r"(About )?[\w ]+ ago", "ago", text))
    lines = [
        re.sub(r": open .*: no such file.*|: no such builder", "", x) for x in text.split("\n")
    ]
    return done.code, [
        line for line in lines if line and not line.startswith(("See ", "Usage", "Run "))
    ]


@pytest.mark.parametrize(
    "command",
    [
        "create --driver remote --name two {address}",
        "create --name two {address}",
        "create --driver remote --name two --node n --platform linux/arm64,linux/amd64 {address}",
        "create --driver remote --name one --append --node second --use tcp://127.0.0.1:1",
        "create --driver remote --name one tcp://127.0.0.1:1",
        "create --driver remote --name one --append {address}",
        "create --driver remote --name default {address}",
        "create --driver remote --name two --driver-opt key=/k {address}",
        "create --driver remote --name two --driver-opt cacert=relative {address}",
        "create --driver remote --name two --driver-opt nope=1 {address}",
        "create --driver remote --name two --driver-opt nope {address}",
        "create --driver remote --name two http://nowhere",
        "create --driver remote --name two",
        "create --driver remote --name 2wo {address}",
        "create --driver remote --name two tcp://",
        "create --driver remote --name two 127.0.0.1:12",
        "create --driver docker --name two",
        "create --driver docker-container --name two --buildkitd-flags ' {address}",
        "create --driver nope --name two {address}",
        "create --driver remote --name two --buildkitd-flags --debug {address}",
        "create --append",
        "create --leave",
        "create --leave --name one",
        "create --leave --name one --node one0",
        "create --leave --name nope --node one0",
        "use one",
        "use --global one",
        "use --default one",
        "use nope",
        "use default",
        "rm nope",
        "rm one",
        "history ls --builder one",
        "du --builder one",
        "stop one",
        "stop nope",
        "inspect nope",
    ],
)
def test_the_same_words_and_files(sandbox: Sandbox, command: str) -> None:
    words = command.format(address=sandbox.address).split()

    def fresh() -> None:
        for name in ("one", "two"):
            buildx(sandbox, "rm", name)
        (sandbox.path / ".docker/buildx/current").unlink(missing_ok=True)
        create = ("create", "--driver", "remote", "--name", "one", sandbox.address)
        assert buildx(sandbox, *create).code == 0

    fresh()
    theirs = said(buildx(sandbox, *words), "buildx")
    left_by_them = files(sandbox)
    fresh()
    ours = said(sandbox.croze(*words, check=False), "croze")
    assert ours == theirs
    assert files(sandbox) == left_by_them


def test_another_builder_of_the_own_ones_name_is_told_of(sandbox: Sandbox) -> None:
    """It is this one that a name means; the user's own daemon goes on."""
    sandbox.buildx(SUITE, "ls")
    assert "has the name croze (remote)" in sandbox.croze("stop", "croze").stderr
    assert sandbox.croze("images").code == 0


def test_inspect_says_the_same(sandbox: Sandbox) -> None:
    sandbox.buildx(SUITE, "ls")
    theirs = buildx(sandbox, "inspect", "croze").stdout
    ours = sandbox.croze("inspect", "croze").stdout
    assert [line.rstrip() for line in ours.splitlines()] == [
        line.rstrip() for line in theirs.splitlines()
    ]


def test_ls_says_the_same_of_a_stored_builder(sandbox: Sandbox) -> None:
    sandbox.buildx(SUITE, "use", "croze")

    def of_croze(text: str) -> list[list[str]]:
        lines = text.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("croze"))
        return [re.split(r" {2,}", line.strip()) for line in lines[start : start + 2]]

    assert of_croze(sandbox.croze("ls").stdout) == of_croze(buildx(sandbox, "ls").stdout)

    def as_json(text: str) -> dict[str, object]:
        found: dict[str, object] = next(
            value for value in map(json.loads, text.splitlines()) if value["Name"] == "croze"
        )
        return {key: value for key, value in found.items() if key != "LastActivity"}

    chosen = ("ls", "--format", "{{.Builder.Name}} {{.Name}} {{.DriverEndpoint}} {{.Platforms}}")
    assert of_croze(sandbox.croze(*chosen).stdout) == of_croze(buildx(sandbox, *chosen).stdout)
    format_ = ("ls", "--format", "json")
    assert as_json(sandbox.croze(*format_).stdout) == as_json(buildx(sandbox, *format_).stdout)


@pytest.mark.parametrize(
    "words",
    [
        "du --builder croze --format {{.ID}}|{{.Size}}|{{.Type}}|{{.Description}}|{{.CreatedAt}}",
        "du --builder croze --format json",
        "du --builder croze --format {{json .}}",
        "du --builder croze --format table\\t{{.ID}}\\t{{.UsageCount}}",
        "du --builder croze --verbose",
        "du --builder croze",
        "du --builder croze --filter type=regular",
        "du --builder croze --filter nope",
        "du --builder croze --filter =x",
        "du --builder croze --filter until=x",
        "du --builder croze --verbose --format json",
        "du --builder croze --format {{.Nope}}",
        "du --builder croze extra",
        "prune --builder croze --filter until=1h",
        "prune -f --builder croze --filter until=1h --verbose",
        "prune -f --builder croze --filter until=1h --keep-storage 1GB",
        "prune -f --builder croze --max-used-space x",
        "prune -f --builder croze --max-used-space=",
    ],
)
def test_the_same_report(sandbox: Sandbox, words: str) -> None:
    context = sandbox.context("report", {"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "1"})
    sandbox.buildx(SUITE, "build", context)
    split = re.findall(r"(?:\{\{.*?\}\}|\S)+", words)
    theirs = said(buildx(sandbox, *split), "buildx")
    ours = said(sandbox.croze(*split, check=False), "croze")
    assert ours == theirs


def test_a_chosen_builder_builds(sandbox: Sandbox) -> None:
    context = sandbox.context("chosen", {"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "1"})
    sandbox.buildx(SUITE, "use", "croze")
    out = sandbox.path / "chosen-out"
    sandbox.croze("build", "-o", out, context, env={"CROZE_RUNTIME_DIR": "/nonexistent/run"})
    assert (out / "a").read_text() == "1"


def test_a_daemon_behind_a_command(sandbox: Sandbox) -> None:
    """What `ssh HOST buildctl dial-stdio` would carry, carried by a program of that name."""
    programs, told = sandbox.path / "programs", sandbox.path / "told"
    programs.mkdir()
    ssh = programs / "ssh"
    socket = str(sandbox.socket)
    ssh.write_text(CARRIER.format(python=sys.executable, told=str(told), socket=socket))
    ssh.chmod(0o755)
    env = {"PATH": f"{programs}:{sandbox.env['PATH']}"}
    context = sandbox.context("far", {"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "1"})
    sandbox.croze("create", "--driver", "remote", "--name", "far", "ssh://me@host:22/s", env=env)
    out = sandbox.path / "far-out"
    sandbox.croze("build", "--builder", "far", "-o", out, context, env=env)
    assert (out / "a").read_text() == "1"
    words = "-l me -p 22 -- host buildctl --addr unix:///s dial-stdio"
    assert set(told.read_text().splitlines()) == {words}


def test_a_command_that_fails_is_told(sandbox: Sandbox) -> None:
    context = sandbox.context("gone", {"Dockerfile": "FROM scratch\n"})
    sandbox.croze("create", "--driver", "remote", "--name", "far", "docker-container://gone")
    env = {"PATH": "/nonexistent"}
    failed = sandbox.croze("build", "--builder", "far", context, env=env, check=False)
    assert failed.code == 1
    assert "could not run docker: No such file or directory" in failed.stderr


def test_the_own_builder_is_told_from_another_one_of_its_name(sandbox: Sandbox) -> None:
    """Who builds without naming a builder sees in the list which one that is."""
    buildx(sandbox, "create", "--driver", "remote", "--name", "croze", "unix:///nope.sock")
    listed = sandbox.croze("ls").stdout
    assert re.search(r"^croze +remote", listed, re.MULTILINE)
    assert re.search(r"^croze\* +croze", listed, re.MULTILINE)
    assert re.search(r"^Driver: +croze$", sandbox.croze("inspect").stdout, re.MULTILINE)


def test_the_daemon_of_the_environment_is_the_one_in_force(sandbox: Sandbox) -> None:
    env = {"BUILDKIT_HOST": sandbox.address}
    shown = sandbox.croze("inspect", env=env).stdout
    assert re.search(rf"Endpoint: +{re.escape(sandbox.address)}\nStatus: +running", shown)
    listed = sandbox.croze("ls", "--format", "{{.Name}} {{.Status}}", env=env).stdout
    assert f"{sandbox.address} running" in listed.splitlines()
    starred = [line for line in sandbox.croze("ls", env=env).stdout.splitlines() if "*" in line]
    assert [line.split()[0] for line in starred] == [f"{sandbox.address}*"]


def test_builders_are_listed_whichever_is_named(sandbox: Sandbox) -> None:
    listed = sandbox.croze("ls").stdout
    assert sandbox.croze("ls", env={"BUILDX_BUILDER": "nope"}).stdout == listed
    assert sandbox.croze("--builder", "nope", "ls").stdout == listed


def test_what_a_daemon_runs_is_told_with_variants(sandbox: Sandbox) -> None:
    listed = re.search(r"^platforms +(.*)$", sandbox.croze("debug", "info").stdout, re.MULTILINE)
    assert listed is not None
    platforms = listed[1].split(",")
    assert len(set(platforms)) == len(platforms)
