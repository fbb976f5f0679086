"""The thin start is thin."""

from __future__ import annotations

import io
import os
import posix
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import croze
from croze import version
from croze.version import TEXT, tell_if_asked
from scripts.quick_start import quick, quicker
from tests.support.work import unmeasured

REPO = Path(__file__).resolve().parents[2]
Start = Callable[[str, str, Sequence[str]], str | None]


def test_what_is_not_utf8_is_printed_as_it_was_read() -> None:
    code = "from croze.cli.thin import prepare; prepare(); print('\\udce9')"
    env = {**unmeasured(), "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert done.stdout == b"\xe9\n"


def test_it_imports_next_to_nothing(tmp_path: Path) -> None:
    """Of the standard library, only what every interpreter has loaded anyway."""
    code = """if True:
        import sys
        before = {*sys.modules, "io"}  # of which Python 3.14 has loaded all but the name
        from croze.cli.thin import run_warm
        assert run_warm(["build", "."]) is None
        print(sorted(name for name in set(sys.modules) - before if name.split(".")[0] != "croze"))
        print(len(set(sys.modules) - before))
    """
    env = {**unmeasured(), "CROZE_RUNTIME_DIR": str(tmp_path / "nothing")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, check=True, text=True
    )
    others, count = done.stdout.splitlines()
    assert others == "['_socket']"
    assert int(count) < 15


SOURCE = (REPO / "bin/croze").read_text()


def test_not_every_interpreter_starts_quickly() -> None:
    for path in ("/with space/python", "/" + "x" * 200):
        assert quick(SOURCE, path, []) is None
        assert quicker(SOURCE, path, []) is not None
    assert quicker(SOURCE, "/back\\slash/python", []) is None


@pytest.mark.parametrize("start", [quick, quicker])
def test_the_quick_start(start: Start, tmp_path: Path) -> None:
    """What `make install` makes of the command: it knows its own, whatever Python is told to, and
    what is more than a question has all that Python programs have."""
    script, python = tmp_path / "croze", Path(sys.prefix) / "bin" / "python"
    text = start(SOURCE, str(python), [str(Path(croze.__file__).parent.parent)])
    assert text is not None
    script.write_text(text)
    script.chmod(0o755)
    odd = {"PYTHONHOME": "/nope", "PYTHONPATH": "/nope", "PYTHONSTARTUP": "/nope"}
    env = {**os.environ, "CROZE_NO_WARM": "1", "HOME": str(tmp_path), **odd}

    def said(*words: str | Path) -> str:
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert said(script, "version") == said(script, "--version") == f"{TEXT}\n"
    assert "Start a build" in said(script, "build", "--help")
    (tmp_path / "buildctl").symlink_to(script)
    assert said(tmp_path / "buildctl", "--version").startswith("buildctl croze ")
    asked = "import sys, croze.cli.thin as t; t.bring_site_in(); print(sys.prefix)"
    at = f"import sys; sys.path.insert(0, {str(Path(croze.__file__).parent.parent)!r}); "
    assert said(python, "-SI", "-c", at + asked) == f"{sys.prefix}\n"
    ours = "from croze.files.interpreter import own_program as p; print(p('x')[1:])"
    assert said(python, "-SI", "-c", at + ours) == "['-I', '-m', 'x']\n"


def test_a_version_that_has_changed_since_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, file = tmp_path / "croze", tmp_path / "version.py"
    file.touch()
    monkeypatch.setattr(version, "__file__", str(file))
    monkeypatch.setattr(version, "TEXT", "the old one")
    python = str(Path(sys.prefix) / "bin" / "python")
    text = quicker(SOURCE, python, [str(Path(croze.__file__).parent.parent)])
    assert text is not None
    script.write_text(text)
    script.chmod(0o755)
    for seconds, said in ((1, "the old one\n"), (1 << 32, f"{TEXT}\n")):
        os.utime(file, (seconds, seconds))
        assert subprocess.check_output([script, "version"], text=True) == said


INTERRUPTED = """\
import os, signal, sys

class Finder:
    def find_spec(self, name, *rest):
        if name == "croze.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
            os._exit(7)

signal.signal(signal.SIGINT, getattr(signal, sys.argv[1]))
sys.meta_path.insert(0, Finder())
sys.argv = ["croze", "ls"]
from croze.cli.thin import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("before", "code"),
    [("default_int_handler", -signal.SIGINT), ("SIG_DFL", -signal.SIGINT), ("SIG_IGN", 7)],
)
def test_an_interrupt_while_modules_are_imported_shows_no_traceback(before: str, code: int) -> None:
    """Unless interrupts are ignored, as in a job that a shell has put into the background."""
    env = {**os.environ, "CROZE_NO_WARM": "1"}
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, before], env=env, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, b"")


def test_the_version_is_told_to_who_asks_for_it_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends: list[int] = []
    monkeypatch.setattr(posix, "_exit", ends.append)
    for argv in (
        ["croze"],
        ["croze", "build"],
        ["croze", "version", "-h"],
        ["buildctl", "version"],
    ):
        tell_if_asked(argv)
    assert (capsys.readouterr().out, ends) == ("", [])
    tell_if_asked(["/usr/bin/croze", "--version"])
    assert (capsys.readouterr().out, ends) == (f"{TEXT}\n", [0])
    monkeypatch.setattr(sys, "stdout", _Full())
    tell_if_asked(["croze", "version"])
    assert ends == [0]


class _Full(io.StringIO):
    def flush(self) -> None:
        raise OSError("no space left on device")
