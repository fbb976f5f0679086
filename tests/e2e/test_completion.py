"""Completion: what real shells and the Docker CLI make of what the command tells them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.sandbox import BUILDX, CROZE, Sandbox, execute
from tests.e2e.terminal import Terminal

BAKE = 'target "api" {}\ntarget "web" {}\ngroup "all" { targets = ["api", "web"] }\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """No daemon: a builder, a definition and a folder."""
    made = Sandbox(tmp_path_factory.mktemp("home"))
    made.croze("create", "--driver", "remote", "--name", "works", "tcp://127.0.0.1:1")
    (made.path / "here/sub").mkdir(parents=True)
    (made.path / "here/docker-bake.hcl").write_text(BAKE)
    programs = made.path / "bin"
    programs.mkdir()
    for name in ("croze", "docker-buildx"):
        (programs / name).symlink_to(CROZE)
    made.extra_env["PATH"] = f"{programs}:{os.environ['PATH']}"
    for shell in ("bash", "fish", "zsh"):
        (made.path / shell).write_text(made.croze("completion", shell).stdout)
    yield made
    assert not made.wait_no_leftovers()


@pytest.mark.parametrize(
    "words",
    [
        ["bu"],
        ["b"],
        ["build", ""],
        ["build", "--progress", ""],
        ["build", "--progress="],
        ["use", ""],
        ["use", "wo"],
        ["stop", "nobody"],
        ["--builder", "wo"],
        ["--builder=wo"],
        ["history", ""],
        ["history", "ex"],
        ["--builder", "works", "imagetools", ""],
        ["history", "export", "--al"],
        ["ls", ""],
        ["bake", ""],
        ["bake", "--", "w"],
        ["prune", "--verbose", "--verb"],
        ["build", "--tag", "x", "--ta"],
    ],
    ids=" ".join,
)
def test_candidates_are_buildx_s(home: Sandbox, words: list[str]) -> None:
    """Names aside that only croze has, or only newer ones of buildx."""
    here = home.path / "here"
    told = []
    for binary in (CROZE, BUILDX["sid"]):
        done = execute([binary, "__completeNoDesc", *words], home.env, cwd=here)
        *names, directive = done.stdout.splitlines()
        told.append(([n for n in names if n not in ("croze", "trace")], directive, done.stderr))
    assert told[0] == told[1]


def test_what_candidates_are_for(home: Sandbox) -> None:
    assert "build\tStart a build\n" in home.croze("__complete", "bu").stdout
    assert home.croze("__complete", "nope", "").stdout == ":1\n"
    (home.path / "broken").mkdir(exist_ok=True)
    (home.path / "broken/docker-bake.hcl").write_text("target {")
    assert home.croze("__complete", "bake", "", cwd=home.path / "broken").stdout == ":1\n"


LINES = [
    ("croze us", "use"),
    ("croze use ", "works"),
    ("croze --builder=wo", "works"),
    ("croze build --builder wo", "works"),
    ("croze bake we", "web"),
    ("croze build su", "sub/"),
    ("croze build -f docker", "docker-bake.hcl"),
    ("croze history exp", "export"),
    ("croze rm --all-in", "--all-inactive"),
]


def test_bash_completes_command_lines(home: Sandbox) -> None:
    script = [f"source {home.path}/bash"]
    for line, _ in LINES:
        words = " ".join(f"'{word}'" for word in line.replace("=", " = ").split(" "))
        script.append(f"COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))")
        script.append('__croze_complete; echo "${COMPREPLY[@]}"')
    command = ["bash", "--norc", "-c", "\n".join(script)]
    found = execute(command, home.env, cwd=home.path / "here").stdout.splitlines()
    for (line, wanted), shown in zip(LINES, found, strict=True):
        assert wanted.rstrip("/") in shown.split(), line


def test_fish_completes_command_lines(home: Sandbox) -> None:
    script = [f"source {home.path}/fish"]
    script += [f"complete -C '{line}'; echo ----" for line, _ in LINES]
    command = ["fish", "--no-config", "-c", "\n".join(script)]
    found = execute(command, home.env, cwd=home.path / "here").stdout.split("----\n")
    assert found.pop() == ""
    for (line, wanted), shown in zip(LINES, found, strict=True):
        names = [name.partition("\t")[0] for name in shown.splitlines()]
        assert wanted in [name.removeprefix("--builder=") for name in names], line


def test_zsh_completes_command_lines(home: Sandbox) -> None:
    """On a terminal, a tab behind each line."""
    zsh = shutil.which("zsh")
    assert zsh is not None
    with Terminal([zsh, "-f", "-i"], {**home.env, "TERM": "dumb"}) as terminal:
        start = f"cd {home.path}/here; autoload -U compinit && compinit -u -D"
        terminal.send(f"{start}; source {home.path}/zsh; echo rea''dy\n")
        terminal.expect("ready\r")
        for line, wanted in LINES:
            terminal.send(f"{line}\t")
            terminal.expect(wanted)
            terminal.send("\x15")
        terminal.send("exit\n")


def test_docker_asks_its_plugin(home: Sandbox) -> None:
    plugins = home.path / ".docker/cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "docker-buildx").symlink_to(CROZE)
    docker = shutil.which("docker")
    assert docker is not None
    done = execute([docker, "__complete", "buildx", "use", "wo"], home.env)
    assert done.stdout == "works\n:4\n"
    done = execute([docker, "__complete", "buildx", "hist"], home.env)
    assert done.stdout == "history\tCommands to work on build records\n:4\n"


def test_a_script_is_for_the_name_that_asks(home: Sandbox) -> None:
    done = execute([home.path / "bin/docker-buildx", "completion", "bash"], home.env)
    assert "complete -F __docker_buildx_complete docker-buildx\n" in done.stdout
    refused = home.croze("completion", "tcsh", check=False)
    assert refused.code == 1
    assert "requires a shell: bash, fish, zsh" in refused.stderr
