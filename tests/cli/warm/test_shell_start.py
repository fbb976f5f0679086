"""The start in bash (scripts/quick_start.bash), and what a child of the warm process makes of it.
This process takes the part of the warm process."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from croze.cli.warm import shell_caller
from croze.cli.warm.request import BadRequest
from croze.cli.warm.shell_caller import ShellCaller, may_look_into_callers
from croze.cli.warm.slots import SLOTS, SlotCall, Slots, begin
from scripts.quick_start import BASH
from tests.cli.warm.desk import Desk
from tests.support.processes import NAP_S, catches, state
from tests.support.waiting import PATIENCE_S, eventually, turns

pytestmark = pytest.mark.skipif(
    not (shutil.which(BASH) and may_look_into_callers()),
    reason="bash asks nobody where processes may not be looked into",
)


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """No signal is ignored, as some are in the background of a shell: nobody can trap those."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.slots.close()


def told(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def run_by_python(process: subprocess.Popen[bytes], *words: str) -> bool:
    """Whether Python got what the start got, and nothing that it has opened: there are the three
    streams, and what stands for Python is a script that its shell has open."""
    code, out, err = told(process)
    script = shlex.join(map(str, process.args[4:5])) if isinstance(process.args, list) else ""
    lines = out.decode().splitlines()
    assert len(lines) == 5, out
    return (code, err) == (0, b"") and lines[0] == " ".join(("python -SI", script, *words))


def asks_nobody(desk: Desk, process: subprocess.Popen[bytes], *words: str) -> bool:
    return run_by_python(process, *words) and not list(desk.slots.asks())


def let_go(caller: ShellCaller) -> None:
    """Let a caller hear that nobody runs its command any more."""
    os.close(caller._answers)
    os.close(caller._process)


def test_all_is_taken_over(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    words: list[str | bytes] = ["build", "", "a b", "c\nd", b"\xff", "*"]
    with desk.started(
        *words, before=f"cd {tmp_path}/here; umask 0027", OF_MINE="a=b\nc"
    ) as process:
        caller = desk.caller()
        request = desk.request(caller)
        assert request.argv == ["build", "", "a b", "c\nd", "\udcff", "*"]
        assert request.umask == 0o027
        assert request.environ[b"OF_MINE"] == b"a=b\nc"
        assert b"CROZE_CALLED_AS" not in request.environ
        assert os.fstat(request.directory).st_ino == (tmp_path / "here").stat().st_ino
        stdin, stdout, stderr = request.streams
        assert os.path.samestat(os.fstat(stdin), os.stat("/dev/null"))
        os.write(stdout, b"out")
        os.write(stderr, b"err")
        request.close()
        caller.take_on()
        assert caller.signals() == ()
        caller.tell(77)
        assert told(process) == (77, b"out", b"err")
    assert caller.signals() is None


@pytest.mark.parametrize(("name", "value"), [("docker-buildx", b"docker-buildx"), ("croze", None)])
def test_it_knows_what_it_is_called(desk: Desk, name: str, value: bytes | None) -> None:
    link = desk.folder / "bin" / name
    link.parent.mkdir()
    link.symlink_to(desk.script)
    desk.script = link
    with desk.started("ls"):
        request = desk.request(desk.caller())
        assert request.environ.get(b"CROZE_CALLED_AS") == value
        request.close()


def test_two_at_once_have_two_slots(desk: Desk) -> None:
    with desk.started("a"), desk.started("b"):
        assert desk.asked().slot != desk.asked().slot


def test_one_whose_slot_is_claimed_takes_the_next(desk: Desk) -> None:
    for slot in range(SLOTS):
        if slot % 8:
            Path(f"{desk.slots.folder}/{slot}.taken").touch()
    with desk.started("a"):
        assert desk.asked().slot % 8 == 0


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


@pytest.mark.parametrize("scope", ["1\n", "2\n", "3\n"])
def test_nobody_is_asked_where_processes_may_not_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    (tmp_path / "scope").write_text(scope)
    monkeypatch.setattr(shell_caller, "YAMA", str(tmp_path / "scope"))
    assert not may_look_into_callers()


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


def test_one_that_has_ended_is_not_waited_for_though_its_answer_is_open(desk: Desk) -> None:
    with desk.started("build") as process, running_for(desk) as runner:
        runner.kill()
        runner.wait(PATIENCE_S)
        assert told(process) == (1, b"", b"croze: the process that ran this command ended early\n")


def change(ask: SlotCall, **fields: object) -> SlotCall:
    import msgspec

    return msgspec.structs.replace(ask, **fields)


@pytest.mark.parametrize(
    ("words", "lie", "why"),
    [
        (["du"], lambda ask: change(ask, pid=os.getpid()), "in another's name"),
        (["du"], lambda ask: change(ask, fd=0), "in another's name"),
        (["du"], lambda ask: change(ask, arguments=2), "not to be run elsewhere"),
        (["build", "-f", "/dev/fd/63"], lambda ask: ask, "not to be run elsewhere"),
    ],
)
def test_who_lies_is_refused(
    desk: Desk, words: list[str], lie: Callable[[SlotCall], SlotCall], why: str
) -> None:
    with desk.started(*words):
        caller = desk.caller(lie(desk.asked()))
        before = os.listdir("/proc/self/fd")
        with pytest.raises((BadRequest, OSError), match=why if why else None):
            desk.request(caller)
        assert os.listdir("/proc/self/fd") == before


def test_a_stream_that_is_not_there(desk: Desk) -> None:
    with desk.started("du"):
        caller = desk.caller(change(desk.asked(), streams=(10, 11, 99)))
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="Bad file descriptor"):
            desk.request(caller)
        assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ('trap "" HUP', "from somewhere else"),
        ('trap "" QUIT', "from somewhere else"),
        ("ulimit -n 500", "from somewhere else"),
        ("export PYTHONHASHSEED=1", "not of this installation"),
    ],
)
def test_who_is_elsewhere_is_refused(desk: Desk, before: str, why: str) -> None:
    with desk.started("du", before=before), pytest.raises(BadRequest, match=why):
        desk.request(desk.caller())


def test_who_has_gone_is_refused(desk: Desk) -> None:
    with desk.started("du") as process:
        caller = desk.caller()
        process.kill()
        process.wait(PATIENCE_S)
        with pytest.raises((BadRequest, OSError)):
            desk.request(caller)


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"LANG": "C"},
        {"LANG": "POSIX", "LC_CTYPE": ""},
        {"LANG": "C.UTF-8"},
        {"LANG": "xx_YY.UTF-8"},
        {"LC_CTYPE": "xx_YY"},
        {"LC_CTYPE": "C.UTF-8", "LANG": "xx_YY"},
        {"LC_ALL": "C", "LC_CTYPE": "POSIX"},
    ],
)
def test_the_locale_is_the_one_that_python_gives_itself(env: dict[str, str]) -> None:
    code = "import os; print(os.environb.get(b'LC_CTYPE'))"
    said = subprocess.check_output([sys.executable, "-SI", "-c", code], env=env, text=True)
    mine = {key.encode(): value.encode() for key, value in env.items()}
    assert repr(shell_caller.coerced(mine).get(b"LC_CTYPE")) == said.strip()


def test_of_two_variables_of_one_name_the_first_counts() -> None:
    data = b"A=1\0A=2\0nothing\0=x\0B=\0"
    assert shell_caller._environment(data) == {b"A": b"1", b"B": b""}
