"""How busy the machine is, sampled while something runs.

Names and units are BuildKit's (`executor/resources/types`): CPU times in seconds, memory in KiB as
`/proc/meminfo` has it, pressure as `/proc/pressure` has it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)

Sample = dict[str, object]

INTERVAL_S = 2.0
MAX_SAMPLES = 20
"""About so many are kept of however long a time."""
_CPU = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestNice"]
_PROCESSES = {"ctxt": "contextSwitches", "processes": "processCreated"}
_RUNNING = ("procs_running", "processesRunning")
_MEMORY = {
    "total": "MemTotal",
    "free": "MemFree",
    "available": "MemAvailable",
    "buffers": "Buffers",
    "cached": "Cached",
    "active": "Active",
    "inactive": "Inactive",
    "swap": "SwapTotal",
    "dirty": "Dirty",
    "writeback": "Writeback",
    "slab": "Slab",
}


def sample(proc: Path = Path("/proc")) -> Sample:
    """The machine now. Raises OSError or ValueError where the kernel tells nothing of it."""
    stat = {words[0]: words[1:] for line in _lines(proc / "stat") if (words := line.split())}
    ticks = os.sysconf("SC_CLK_TCK")
    times = [round(int(value) / ticks, 3) for value in stat["cpu"]]
    memory = {key: int(value.split()[0]) for key, _, value in _pairs(proc / "meminfo")}
    found: Sample = {
        "timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "cpuStat": dict(zip(_CPU, times, strict=False)),
        "procStat": {name: int(stat[key][0]) for key, name in (*_PROCESSES.items(), _RUNNING)},
        "memoryStat": {name: memory.get(key) for name, key in _MEMORY.items()},
    }
    for name in ("cpu", "memory", "io"):
        pressure = _pressure(proc / "pressure" / name)
        if pressure:
            found[f"{name}Pressure"] = pressure
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="ascii", errors="replace").splitlines()


def _pairs(path: Path) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in _lines(path) if ":" in line]


def _pressure(path: Path) -> dict[str, dict[str, float]]:
    try:
        lines = _lines(path)
    except OSError:
        return {}  # a kernel without pressure information
    return {words[0]: _values(words[1:]) for line in lines if (words := line.split())}


def _values(words: Sequence[str]) -> dict[str, float]:
    pairs = (word.partition("=") for word in words)
    return {key: int(text) if key == "total" else float(text) for key, _, text in pairs}


@dataclass
class MachineUsage:
    """Samples every two seconds between `start` and `stop`, fewer of what takes long."""

    _samples: list[tuple[float, Sample]] = field(default_factory=list)
    _interval_s: float = INTERVAL_S
    _started: float = field(default_factory=time.monotonic)
    _timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._tick)

    def stop(self) -> None:
        """Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def samples(self) -> list[Sample]:
        """What was sampled so far, and now."""
        return [*self._kept(), *self._now()]

    def _tick(self) -> None:
        now = time.monotonic()
        self._samples += [(now, each) for each in self._now()]
        if now - self._started >= self._interval_s * MAX_SAMPLES:
            self._interval_s *= 2
        self.start()

    def _kept(self) -> list[Sample]:
        kept: list[Sample] = []
        last = -self._interval_s
        for when, each in self._samples:
            if not kept or when - last >= self._interval_s:
                kept.append(each)
                last = when
        return kept

    def _now(self) -> list[Sample]:
        try:
            return [sample()]
        except (OSError, ValueError, KeyError, IndexError) as error:
            log.debug("the machine can't be sampled: %s", error)
            return []
