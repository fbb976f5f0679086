"""How busy the machine is, sampled while something runs.

Names and units are BuildKit's (`executor/resources/types`): CPU times in seconds, memory in KiB as
`/proc/meminfo` has it, pressure as `/proc/pressure` has it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from croze.telemetry.sampling import INTERVAL_S, Sample, Sampler

log = logging.getLogger(__name__)

PROC = Path("/proc")
MAX_SAMPLES = 20
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


class SharedSamples:
    """Samples of the machine for all who want some: who asks at about the same time is told the
    same."""

    def __init__(self) -> None:
        self._latest: Sample | None = None
        self._taken_s = float("-inf")

    def sample(self, max_age_s: float) -> Sample | None:
        """A sample that is no older than `max_age_s`. None where the kernel tells nothing."""
        now_s = time.monotonic()
        if now_s - self._taken_s > max_age_s:
            self._latest, self._taken_s = _sample_or_none(), now_s
        return self._latest


class MachineUsage(Sampler):
    """What the whole machine uses, while something goes on. Empty where the kernel tells nothing of
    it."""

    def __init__(self, shared: SharedSamples, interval_s: float = INTERVAL_S) -> None:
        super().__init__(lambda: shared.sample(interval_s / 4), MAX_SAMPLES, interval_s)


def sample(proc: Path = PROC) -> Sample:
    """The machine now. Raises OSError or ValueError where the kernel tells nothing of it."""
    stat = _stat(proc)
    memory = {key: int(value.split()[0]) for key, _, value in _pairs(proc / "meminfo")}
    sampled: Sample = {
        "timestamp": timestamp(),
        "cpuStat": cpu_times(proc),
        "procStat": {name: int(stat[key][0]) for key, name in (*_PROCESSES.items(), _RUNNING)},
        "memoryStat": {name: memory.get(key) for name, key in _MEMORY.items()},
    }
    for name in ("cpu", "memory", "io"):
        if (found_pressure := pressure(proc / "pressure" / name)) is not None:
            sampled[f"{name}Pressure"] = found_pressure
    return sampled


def cpu_times(proc: Path = PROC) -> dict[str, float]:
    """What all CPUs together have done since the machine was started, in seconds. Raises as
    `sample`."""
    ticks = os.sysconf("SC_CLK_TCK")
    times = [plain(int(value) / ticks) for value in _stat(proc)["cpu"]]
    return dict(zip(_CPU, times, strict=False))


def pressure(path: Path) -> dict[str, dict[str, float] | None] | None:
    """A file of pressure stall information (kernel docs `accounting/psi.rst`); None where the
    kernel keeps none."""
    try:
        lines = _lines(path)
    except OSError:
        return None
    pressures = {words[0]: _values(words[1:]) for line in lines if (words := line.split())}
    return {"some": pressures.get("some"), "full": pressures.get("full")}


def timestamp() -> str:
    """The time now, as RFC 3339 writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _sample_or_none() -> Sample | None:
    try:
        return sample()
    except (OSError, ValueError, KeyError, IndexError) as error:
        log.debug("the machine can't be sampled: %s", error)
        return None


def _stat(proc: Path) -> dict[str, list[str]]:
    return {words[0]: words[1:] for line in _lines(proc / "stat") if (words := line.split())}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="ascii", errors="replace").splitlines()


def _pairs(path: Path) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in _lines(path) if ":" in line]


def _values(words: Sequence[str]) -> dict[str, float]:
    pairs = (word.partition("=") for word in words)
    return {key: int(text) if key == "total" else plain(float(text)) for key, _, text in pairs}


def plain(value: float) -> float:
    """A number to the thousandth, and a whole one as Go writes one."""
    value = round(value, 3)
    return int(value) if value.is_integer() else value
