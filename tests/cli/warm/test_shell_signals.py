"""Signals to the start in bash, and the end of what runs its command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from croze.cli.warm.slots import begin
from tests.cli.warm.desk import Desk, let_go, run_by_python, told
from tests.support.processes import NAP_S, catches, state
from tests.support.waiting import PATIENCE_S, eventually


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)],
)
def test_signals_are_passed_on(desk: Desk, number: int, code: int) -> None:
    """To the process that runs the command; the exit code is what it died of, if it tells none."""
    with desk.started("build") as process, running_for(desk) as runner:
        process.send_signal(number)
        assert runner.wait(PATIENCE_S) == -number
        let_go(desk.callers.pop())
        assert told(process) == (code, b"", b"")


def test_the_size_of_the_terminal_is_no_reason_to_end(desk: Desk) -> None:
    with desk.started("build") as process, running_for(desk) as runner:
        process.send_signal(signal.SIGWINCH)
        runner.kill()
        let_go(desk.callers.pop())
        assert told(process) == (1, b"", b"croze: the process that ran this command ended early\n")


def test_it_stops_and_goes_on(desk: Desk) -> None:
    with desk.started("build") as process, running_for(desk) as runner:
        for _ in range(2):
            os.kill(process.pid, signal.SIGTSTP)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            assert os.WSTOPSIG(status) == signal.SIGTSTP
            eventually(lambda: state(runner.pid) == "T")
            os.kill(process.pid, signal.SIGCONT)
            eventually(lambda: state(runner.pid) == "S" and catches(process.pid, signal.SIGTSTP))
        desk.callers[0].tell(0)
        assert told(process)[0] == 0


@contextlib.contextmanager
def running_for(desk: Desk) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs the command that was asked for."""
    caller = desk.caller()
    desk.request(caller).close()
    with subprocess.Popen(["sleep", str(NAP_S)]) as runner:
        assert begin(desk.slots.folder, caller._ask.slot)
        caller._say(f"A {runner.pid}")
        eventually(lambda: catches(caller._ask.pid, signal.SIGTSTP))
        desk.callers.append(caller)
        try:
            yield runner
        finally:
            runner.kill()


@pytest.mark.parametrize("line", ["A -1", "A 1 2", "A", "X 0", ""])
def test_signals_go_to_no_process_that_is_none(desk: Desk, line: str) -> None:
    with desk.started("build") as process:
        caller = desk.caller()
        caller._say(line)
        assert run_by_python(process, "build")
        let_go(caller)


def test_one_that_has_ended_is_not_waited_for_though_its_answer_is_open(desk: Desk) -> None:
    with desk.started("build") as process, running_for(desk) as runner:
        runner.kill()
        runner.wait(PATIENCE_S)
        assert told(process) == (1, b"", b"croze: the process that ran this command ended early\n")
