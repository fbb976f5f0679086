"""Workers that are to end, and may not be able to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from croze.workers import forkserver
from croze.workers.forkserver import ForkedWorker


def sleeper() -> int:
    return os.posix_spawn("/bin/sleep", ["sleep", "60"], {})


def test_who_is_killed_is_reaped() -> None:
    worker = ForkedWorker(sleeper())
    assert worker.killed() == -signal.SIGKILL
    assert worker.is_reaped()


def test_who_is_caught_in_the_kernel_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at a file system that does not answer; here the signal is lost. The daemon would wait."""
    pid = sleeper()
    worker = ForkedWorker(pid)
    with monkeypatch.context() as patch:
        patch.setattr(forkserver, "DYING_S", 0.0)
        patch.setattr(os, "kill", lambda *_: None)
        assert worker.killed() == -signal.SIGKILL
        assert not worker.is_reaped()
    os.kill(pid, signal.SIGKILL)
    while not worker.is_reaped():
        os.sched_yield()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nothing_is_said_to_who_is_gone_before_its_answer() -> None:
    """As when a daemon is killed: a traceback would be the last that one reads of it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        with ours:
            ours.send(forkserver._ORDER.pack(forkserver._WEIGH, 0))
        program = [sys.executable, "-P", "-m", "croze.workers.inside", str(theirs.fileno())]
        done = subprocess.run(
            program, pass_fds=[theirs.fileno()], capture_output=True, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, b"")
