"""The start in bash (scripts/quick_start.bash): whom it asks, and when it goes on in Python.
This process takes the part of the warm process."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from croze.cli.warm.request import BadRequest
from croze.cli.warm.slots import SLOTS, Slots, begin
from tests.cli.warm.desk import Desk, let_go, run_by_python, told
from tests.support.processes import NAP_S, state
from tests.support.waiting import PATIENCE_S, eventually, turns


def asks_nobody(desk: Desk, process: subprocess.Popen[bytes], *words: str) -> bool:
    return run_by_python(process, *words) and not list(desk.slots.asks())


def test_two_at_once_have_two_slots(desk: Desk) -> None:
    with desk.started("a"), desk.started("b"):
        assert desk.asked().slot != desk.asked().slot


def test_one_whose_slot_is_claimed_takes_the_next(desk: Desk) -> None:
    for slot in range(SLOTS):
        if slot % 8:
            Path(f"{desk.slots.folder}/{slot}.taken").touch()
    with desk.started("a"):
        assert desk.asked().slot % 8 == 0


def test_who_is_refused_runs_it_by_itself(desk: Desk) -> None:
    with desk.started("build", "a  b") as process:
        let_go(desk.caller())
        assert run_by_python(process, "build", "a  b")


@pytest.mark.parametrize(
    "env", [{"CROZE_NO_WARM": "1"}, {"CROZE_RUNTIME_DIR": "/nonexistent"}, {"HOME": "/x"}]
)
def test_who_asks_nobody(desk: Desk, env: dict[str, str]) -> None:
    if "HOME" in env:
        desk.slots.remove()
    with desk.started("du", **env) as process:
        assert asks_nobody(desk, process, "du")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives directories away")
@pytest.mark.parametrize("what", ["", "slots/ask"])
def test_who_asks_nobody_of_another_user(desk: Desk, what: str) -> None:
    os.chown(desk.folder / what.replace("slots", desk.slots.folder), 4321, 4321)
    with desk.started("du") as process:
        assert asks_nobody(desk, process, "du")


def test_a_link_leads_to_nobody(desk: Desk, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(desk.folder)
    with desk.started("du", CROZE_RUNTIME_DIR=str(link)) as process:
        assert asks_nobody(desk, process, "du")


def test_nobody_is_asked_who_may_not_be_looked_at(desk: Desk) -> None:
    """As in a sandbox that the process at the other end can't see (Landlock)."""
    Path(desk.slots.folder, "pid").write_text("4194305\n")  # more than there can be
    with desk.started("du") as process:
        assert asks_nobody(desk, process, "du")


def test_a_dead_process_is_not_waited_for(desk: Desk) -> None:
    """What it has left on disk is there, but nobody has it open."""
    again = Slots(desk.slots.folder)
    desk.slots.close()
    with desk.started("du") as process:
        again.close()
        assert run_by_python(process, "du")
    desk.slots = Slots(desk.slots.folder)


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_is_closed(desk: Desk, stream: str) -> None:
    with desk.started("du", before=f"exec {stream}") as process:
        process.wait(PATIENCE_S)
    assert list(desk.slots.asks()) == []


def test_a_directory_is_nothing_to_read_from(desk: Desk, tmp_path: Path) -> None:
    """Python would not start with one."""
    with desk.started("du", before=f"exec <{tmp_path}") as process:
        code, out, _ = told(process)
    assert (code, str(tmp_path) in out.decode().splitlines()) == (0, False)
    assert list(desk.slots.asks()) == []


def test_one_that_answers_too_late_finds_that_the_command_has_begun(desk: Desk) -> None:
    """It was stopped, and is let go on first."""
    with subprocess.Popen(["sleep", str(NAP_S)]) as warm:
        Path(desk.slots.folder, "pid").write_text(f"{warm.pid}\n")
        warm.send_signal(signal.SIGSTOP)
        eventually(lambda: state(warm.pid) == "T")
        with desk.started("du") as process:
            caller = desk.caller()
            request = desk.request(caller)
            eventually(lambda: state(warm.pid) == "S")
            request.close()
            assert run_by_python(process, "du")
            with pytest.raises(BadRequest, match="too late"):
                caller.take_on()
        warm.kill()


def test_one_that_is_late_but_has_begun_is_waited_for(desk: Desk) -> None:
    with desk.started("du") as process:
        caller = desk.caller()
        desk.request(caller).close()
        assert begin(desk.slots.folder, caller._ask.slot)
        for _, _turn in zip(range(10), turns(), strict=False):
            assert process.poll() is None
        caller._say(f"A {os.getpid()}")
        caller.tell(5)
        assert told(process) == (5, b"", b"")


def test_an_answer_that_comes_in_two_is_one(desk: Desk) -> None:
    """The time to read may be over between any two of its bytes."""
    with desk.started("du") as process:
        caller = desk.caller()
        desk.request(caller).close()
        assert begin(desk.slots.folder, caller._ask.slot)
        runner = str(os.getpid())
        for part in ("A", f" {runner[:1]}", f"{runner[1:]}\n", "X ", "7", "7\n"):
            os.write(caller._answers, part.encode())
            for _, _turn in zip(range(10), turns(), strict=False):
                pass
        assert told(process) == (77, b"", b"")


@pytest.mark.parametrize("posix", ["", "1"])
def test_too_few_descriptors_to_ask(desk: Desk, posix: str) -> None:
    """A POSIX shell ends where `exec` fails."""
    env = {"POSIXLY_CORRECT": "1"} if posix else {}
    with desk.started("du", before="ulimit -n 14", **env) as process:
        code, out, _ = told(process)
    assert (code, out.splitlines()[:1]) == (0, [f"python -SI {desk.script} du".encode()])


def test_one_whose_slot_is_anothers_does_not_begin(desk: Desk) -> None:
    """It was run, and it would run it again."""
    with desk.started("du") as process:
        caller = desk.caller()
        desk.request(caller).close()
        begun = Path(desk.slots.folder, f"{caller._ask.slot}.begun")
        desk.slots.renew(caller._ask.slot)
        eventually(begun.exists)
        caller._say(f"A {os.getpid()}")
        caller.tell(5)
        assert told(process) == (5, b"", b"")
