"""Processes as procfs shows them. Of one that has ended meanwhile there is nothing to see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NAP_S: Final = 100_000 + os.getpid()
"""How long steps sleep that are to be stopped: those of no other run sleep as long."""


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def command_line(pid: int) -> str:
    """With blanks between the words; empty of kernel threads, too."""
    return _read(pid, "cmdline").replace("\0", " ").rstrip()


def children(pid: int) -> list[int]:
    return [int(word) for word in _read(pid, f"task/{pid}/children").split()]


def family(pid: int) -> Iterator[int]:
    """It and all below it."""
    yield pid
    for child in children(pid):
        yield from family(child)


def _stat(pid: int) -> list[str]:
    """From the state on: by proc_pid_stat(5) these are fields 3 and following."""
    return _read(pid, "stat").rpartition(") ")[2].split()


def state(pid: int) -> str:
    """One letter; empty if there is no such process."""
    return next(iter(_stat(pid)), "")


def catches(pid: int, number: int) -> bool:
    """Whether it has a handler for a signal."""
    masks = [line.split()[1] for line in _read(pid, "status").splitlines() if "SigCgt" in line]
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def worked_s(pid: int) -> float:
    """The processor's seconds that it took by itself."""
    fields = _stat(pid)
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def ran_s(pid: int) -> float:
    """The processor's seconds that its first thread took, to the nanosecond (proc_pid_schedstat in
    the kernel's sched-stats)."""
    return int((_read(pid, "schedstat").split() or ["0"])[0]) / 1e9


def sleepers() -> list[int]:
    """Those that sleep for `NAP_S`, in containers or not."""
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if command_line(pid).endswith(f"sleep {NAP_S}")]
