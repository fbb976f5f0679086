"""What others have written does nothing to a terminal: a step's output, its name, a Dockerfile, a
label, an error. Only colours are obeyed, and what our own displays draw with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.terminal import Terminal

TITLE, CLIPBOARD, CLEAR = "\x1b]0;owned\x07", "\x1b]52;c;b3duZWQ=\x07", "\x1b[2J"
ALL = f"{TITLE}{CLIPBOARD}{CLEAR}\x1bP\x1b\\\x9b2J"
OBEYED = ("\x1b]", CLEAR, "\x1bP", "\x9b", "\x07")
RUN = f"RUN printf '\\033]0;owned\\007\\033[2J\\302\\2332J'; echo '{ALL}'; exit "


def shown(sandbox: Sandbox, *words: str | Path, cwd: Path | None = None) -> str:
    """All that a command shows on a terminal."""
    env = sandbox.env | {"TERM": "xterm"}
    with Terminal([str(CROZE), *map(str, words)], env, cwd) as terminal:
        terminal.wait()
        return terminal.heard


@pytest.mark.parametrize("progress", ["plain", "tty"])
def test_no_terminal_obeys_what_a_build_says(desk: Sandbox, busybox: Path, progress: str) -> None:
    flags = ["build", f"--progress={progress}", "--no-cache", *base(busybox)]
    for name, text in (
        ("ends", f"from base AS X\nLABEL a='{ALL}'\n{RUN}0\n"),
        ("fails", f"FROM base\n{RUN}3\n"),
        ("syntax", f"FROM base\nNOPE{ALL}\n"),
    ):
        said = shown(desk, *flags, desk.context(f"{progress}-{name}", {"Dockerfile": text}))
        assert not [each for each in OBEYED if each in said], (name, said)


def test_what_is_told_of_builds(desk: Sandbox, busybox: Path) -> None:
    context = desk.context("told", {"Dockerfile": f"FROM base\n{RUN}0\n"})
    desk.croze("build", *base(busybox), context)
    (ref, *_) = desk.croze("history", "ls", "--format", "{{.Ref}}").stdout.split()
    ref = ref.rpartition("/")[2]
    for words in (
        ["history", "logs", ref],
        ["du", "--verbose"],
        ["why"],
        ["build", "--check", *base(busybox), str(context)],
    ):
        said = shown(desk, *words)
        assert not [each for each in OBEYED if each in said], (words, said)
    assert "\x1b]0;owned" in desk.croze("history", "logs", ref).stderr, "a file gets what there is"


def test_no_terminal_obeys_what_a_definition_says(desk: Sandbox) -> None:
    folder = desk.context("bake", {"docker-bake.hcl": f'target "a" {{ {ALL} }}\n'})
    for words in (["bake"], ["bake", ALL]):
        said = shown(desk, *words, cwd=folder)
        assert not [each for each in OBEYED if each in said], (words, said)
