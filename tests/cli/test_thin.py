"""The thin start is thin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


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
    env = {**os.environ, "CROZE_RUNTIME_DIR": str(tmp_path / "nothing")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, check=True, text=True
    )
    others, count = done.stdout.splitlines()
    assert others == "['_socket']"
    assert int(count) < 15


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
