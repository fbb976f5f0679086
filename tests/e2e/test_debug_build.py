"""The monitor, at a terminal: what it shows is what buildx shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.images import busybox
from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.terminal import Terminal

DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
ENV A=b
RUN echo one > /one; {last}
"""
PROMPT = "(buildx) "


def project(desk: Sandbox, last: str) -> Path:
    context = desk.context("debug", {"Dockerfile": DOCKERFILE.format(last=last)})
    (context / "busybox").write_bytes(busybox().read_bytes())
    (context / "busybox").chmod(0o755)
    return context


@contextmanager
def debugging(desk: Sandbox, context: Path, *flags: str, build: str = "") -> Iterator[Terminal]:
    words = ["debug", *flags, "build", "--progress=plain", *build.split(), str(context)]
    with Terminal([str(CROZE), *words], {**desk.env, "TERM": "xterm"}) as terminal:
        yield terminal


def at_prompt(terminal: Terminal) -> None:
    """The shell has asked where the cursor is, and reads."""
    terminal.expect("/ # ")
    terminal.expect("\x1b[6n")


def test_a_step_that_failed(desk: Sandbox) -> None:
    with debugging(desk, project(desk, "exit 9"), "--invoke=/bin/sh") as terminal:
        shown = terminal.expect("Press Ctrl-a-c to switch to the new container")
        assert "   5 | >>> RUN echo one > /one; exit 9" in shown
        assert "did not complete successfully: exit code: 9\r\nLaunching interactive" in shown
        at_prompt(terminal)
        terminal.send("cat /one; echo $A$((6 * 7))\r")
        terminal.expect("one\r\r\nb42")
        at_prompt(terminal)
        terminal.send("\x01c")
        terminal.expect(f"Switched IO\r\n{PROMPT}")
        terminal.send("ps\r")
        shown = terminal.expect(PROMPT)
        assert "PID\t\t\t\tCURRENT_SESSION\tCOMMAND" in shown
        assert re.search(r"\n[a-z0-9]{25}\ttrue\t\t\[/bin/sh\]\r\n", shown)
        terminal.send("\x01c")
        at_prompt(terminal)
        terminal.send("exit 3\r")
        assert "ERROR: invoke: exit code: 3" in terminal.expect(PROMPT)
        terminal.send("rollback --init\r")
        at_prompt(terminal)
        terminal.send("cat /one; exit\r")
        assert "No such file" in terminal.expect(PROMPT)
        terminal.send("exit\r")
        terminal.expect("ERROR: failed to build: failed to solve: process")


def test_the_monitors_commands_answer_in_buildxs_words(desk: Sandbox) -> None:
    with debugging(desk, project(desk, "true"), "--on=always") as terminal:
        at_prompt(terminal)
        terminal.send("\x01c")
        for line, told in [
            ("nix 'a b'", "monitor: unknown command: \"nix 'a b'\"\r\nAvailable commands are:\r\n"),
            ("help", "  exec\t\texecute a process in the interactive container\r\n"),
            ("help ps", 'list processes invoked by "exec". Use "attach" to attach IO to that'),
            ("help x", 'monitor: no help message for "x"\r\n'),
            ("attach", "attach: PID of process must be passed\r\n"),
            ("attach x", "attach: pid x: not found\r\n"),
            ("exec", "exec: command must be passed\r\n"),
            ("'", "failed to parse command: EOF found when expecting closing quote"),
        ]:
            terminal.expect(PROMPT)
            terminal.send(f"{line}\r")
            terminal.expect(told)
        terminal.expect(PROMPT)
        terminal.send('exec sh -c "echo mo$((1+1))re; sleep 100"\r')
        id = terminal.expect("started").split('"')[-2]
        terminal.expect("mo2re")
        terminal.send("\x01c")
        terminal.expect(PROMPT)
        terminal.send("ps\r")
        assert re.search(rf"{id}\ttrue\t\t\[sh -c echo mo", terminal.expect(PROMPT))
        terminal.send(f"attach {id}\r")
        terminal.expect(f'Attached to process "{id}". Press Ctrl-a-c to switch to the new')
        terminal.send("\x03")  # the container's terminal makes a signal of it
        assert "ERROR: invoke: exit code: " in terminal.expect(PROMPT)
        terminal.send("\x01c")
        terminal.expect("Process isn't attached")
        terminal.expect(PROMPT)
        terminal.send("rollback --init\r")
        terminal.expect("supported only on the failed steps")
        terminal.expect(PROMPT)
        terminal.send("\x04")


def test_reload_builds_what_the_files_say_now(desk: Sandbox) -> None:
    context = project(desk, "exit 4")
    with debugging(desk, context) as terminal:
        at_prompt(terminal)
        text = (context / "Dockerfile").read_text()
        (context / "Dockerfile").write_text(text.replace("exit 4", "true"))
        terminal.send("\x01c")
        terminal.expect(PROMPT)
        terminal.send("reload\r")
        terminal.expect("RUN echo one > /one; true")


def test_a_result_is_exported_when_the_monitor_ends(desk: Sandbox) -> None:
    out = desk.path / "debug-out"
    with debugging(desk, project(desk, "true"), "--on=always", build=f"-o {out}") as terminal:
        at_prompt(terminal)
        assert not Path(out).exists()
        terminal.send("echo lost > /two; exit\r")
        terminal.expect(PROMPT)
        terminal.send("exit\r")
        terminal.expect("DONE")
    assert (out / "one").read_text() == "one\n"
    assert not (out / "two").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["debug", "build", "-"],
            "Dockerfile or context from stdin is not supported with debugger",
        ),
        (["debug", "--invoke=a=b", "build", "."], 'unknown key "a"'),
        (["debug", "x"], "'croze debug' requires build, verify, info or replay"),
    ],
)
def test_words_that_can_not_be_are_refused(desk: Sandbox, words: list[str], told: str) -> None:
    assert told in desk.croze(*words, check=False).output


def test_without_a_terminal(desk: Sandbox) -> None:
    context = desk.context("debug-none", {"Dockerfile": 'FROM scratch\nRUN ["/no"]\n'})
    done = desk.croze("debug", "build", context, check=False)
    assert "failed to get console: provided file is not a console" in done.output
    assert done.code == 1
