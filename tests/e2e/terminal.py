"""A command on a terminal of its own, as a person would use it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import termios
import time  # what is shown comes by select(2), which is told how long
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import PATIENCE_S


class Terminal:
    """Kills the command on the way out, if it still runs."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        self._heard = ""
        self._reaped = False
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(cwd or ".")
            os.execvpe(command[0], list(command), dict(env))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._reaped:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)

    def expect(self, text: str) -> str:
        """Wait until `text` is shown; all that was shown up to its end since the last call."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self._heard:
            remaining_s = deadline - time.monotonic()
            assert remaining_s > 0, f"no {text!r} in {self._heard!r}"
            if select.select([self._fd], [], [], remaining_s)[0]:
                self._heard += os.read(self._fd, 65536).decode(errors="replace")
        before, _, self._heard = self._heard.partition(text)
        return before + text

    @property
    def heard(self) -> str:
        """What was shown since."""
        return self._heard

    def send(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self._fd, (rows, columns))

    def wait(self) -> int:
        """The exit code, once the command has said all it has to say."""
        deadline = time.monotonic() + PATIENCE_S
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
            while select.select([self._fd], [], [], max(0, deadline - time.monotonic()))[0]:
                self._heard += os.read(self._fd, 65536).decode(errors="replace")
        assert time.monotonic() < deadline, f"it is still there after {self._heard!r}"
        self._reaped = True
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
