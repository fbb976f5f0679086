"""What a child of the warm process makes of a start in bash."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from croze.cli.warm import shell_caller
from croze.cli.warm.request import BadRequest
from croze.cli.warm.shell_caller import may_look_into_callers
from croze.cli.warm.slots import SlotCall
from tests.cli.warm.desk import Desk, told
from tests.support.waiting import PATIENCE_S


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


def test_who_has_gone_is_refused(desk: Desk) -> None:
    with desk.started("du") as process:
        caller = desk.caller()
        process.kill()
        process.wait(PATIENCE_S)
        with pytest.raises((BadRequest, OSError)):
            desk.request(caller)


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


@pytest.mark.parametrize("scope", ["1\n", "2\n", "3\n"])
def test_nobody_is_asked_where_processes_may_not_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    (tmp_path / "scope").write_text(scope)
    monkeypatch.setattr(shell_caller, "YAMA", str(tmp_path / "scope"))
    assert not may_look_into_callers()


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
