"""A start of `croze` in bash, with what stands for Python, and the slots that it finds."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from croze.cli.surroundings import surroundings
from croze.cli.warm.request import WarmRequest
from croze.cli.warm.shell_caller import ShellCaller
from croze.cli.warm.slots import SlotCall, Slots
from scripts.quick_start import quicker
from tests.support.waiting import PATIENCE_S, eventually

PYTHON = """\
#!/bin/sh
echo python "$@"
for fd in /proc/$$/fd/*; do readlink $fd; done
exit 0 # the directory has been open, too
"""
"""What it was started with, and what it has open."""


class Desk:
    """A start of `croze`, and the slots that it finds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "py thon"
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)
        text = quicker("#!\nimport sys\n", str(self.python), [])
        assert text is not None
        self.script = folder / "croze"
        self.script.write_text(text.replace("hear 2", "hear 0.1").replace("hear 1", "hear 0.2"))
        self.script.chmod(0o755)
        name = text.partition("warm-*.")[2].partition(")")[0]
        self.slots = Slots(str(folder / f"warm-x.{name}"))
        self.env = {**os.environ, "CROZE_RUNTIME_DIR": str(folder), "CROZE_NO_WARM": ""}
        self.callers: list[ShellCaller] = []
        """Those whose commands run."""
        self._asks: list[SlotCall] = []

    @contextlib.contextmanager
    def started(
        self, *words: str | bytes, before: str = "", **env: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The command, from a shell that has run `before`."""
        command = ["sh", "-c", f'{before}\nexec "$@"', "sh", str(self.script), *words]
        with subprocess.Popen(
            command,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def asked(self) -> SlotCall:
        """The next that has asked."""

        def look() -> bool:
            self._asks += self.slots.asks()
            return bool(self._asks)

        eventually(look)
        return self._asks.pop(0)

    def caller(self, ask: SlotCall | None = None, pid: int = 0) -> ShellCaller:
        ask = ask or self.asked()
        return ShellCaller(
            self.slots.folder, ask, self.slots.take(ask.slot), os.pidfd_open(pid or ask.pid)
        )

    def request(self, caller: ShellCaller) -> WarmRequest:
        return caller.request(surroundings())


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


def let_go(caller: ShellCaller) -> None:
    """Let a caller hear that nobody runs its command any more."""
    os.close(caller._answers)
    os.close(caller._process)
