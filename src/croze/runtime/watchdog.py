"""A small process that outlives a killed daemon long enough to kill its containers.

It holds the reading end of a pipe; the daemon holds the only writing end and never writes. End of
file means that the daemon is gone, however it went. Runs as a script of its own with nothing of
Croze imported, so that it costs little.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from croze.runtime.sweep import BOOT_TIME_SLACK_S

ROUNDS = 40
ROUND_S = 0.05

_SCRIPT = r"""
import os, signal, sys, time
pids = sys.argv[1]
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
def read(path):
    try:
        with open(path) as file:
            return file.read()
    except (OSError, ValueError):
        return ""
def first(pid, name):
    # A process that was given this pid later started after the file was written.
    try:
        boot = next(l for l in read("/proc/stat").splitlines() if l.startswith("btime"))
        ticks = int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19])
        started = int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
        return started <= os.stat(f"{pids}/{name}").st_mtime + SLACK_S
    except (OSError, ValueError, IndexError, StopIteration):
        return False
def init(name):
    text = read(f"{pids}/{name}").strip()
    if not text.isdigit():
        return 0
    status = read(f"/proc/{text}/status").splitlines()
    nspid = [line for line in status if line.startswith("NSpid:")]
    mine = name in read(f"/proc/{text}/cgroup") or first(text, name)
    return int(text) if nspid and nspid[0].split()[-1] == "1" and mine else 0
while os.read(0, 1):
    pass
for _ in range(ROUNDS):
    try:
        names = os.listdir(pids)
    except OSError:
        break
    if not names:
        break
    for name in names:
        pid = init(name)
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    time.sleep(ROUND_S)
"""


class Watchdog:
    """Start it once in the daemon, before containers are; `close` ends it in an orderly stop."""

    def __init__(self, pids: Path) -> None:
        """`pids`: where the containers' pid files are, named after them."""
        script = _SCRIPT.replace("ROUND_S", str(ROUND_S)).replace("ROUNDS", str(ROUNDS))
        script = script.replace("SLACK_S", str(BOOT_TIME_SLACK_S))
        read_end, self._write_end = os.pipe2(os.O_CLOEXEC)
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", script, str(pids)],
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(read_end)

    @property
    def pid(self) -> int:
        return self._child.pid

    def close(self) -> None:
        """End the watchdog without its doing anything. Idempotent."""
        if self._write_end >= 0:
            self._child.send_signal(signal.SIGKILL)
            self._child.wait()
            os.close(self._write_end)
            self._write_end = -1
