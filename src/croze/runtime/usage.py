"""What a container uses of the machine, sampled while it runs and once when it has ended.

Nothing is left of a container's cgroup when its runtime is done with it. So it is put one deeper
than it would be: the cgroup around it is ours, and says afterwards what was used in it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from croze.runtime.contract import ResourceUsage
from croze.runtime.host import CGROUP_ROOT
from croze.telemetry import cgroup
from croze.telemetry.interface import SYSFS, Counters
from croze.telemetry.machine import cpu_times, plain
from croze.telemetry.sampling import Sample, Sampler

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_SAMPLES = 10
_INNER = "step"
_OF_THE_INNER = ("nrPeriods", "nrThrottled", "throttledNanos")
"""What the kernel does not add up for the cgroups around one that has a quota."""


class UsageMeter:
    """Measures one container. `path`: that of the cgroup it would have, below the hierarchy's root;
    `interface`: the host's that leads to its network alone, or empty."""

    def __init__(
        self, path: str, root: Path = CGROUP_ROOT, *, interface: str = "", sysfs: Path = SYSFS
    ) -> None:
        self.inner = f"{path}/{_INNER}"
        self._network = Counters(interface, sysfs)
        self._outer = root / path.lstrip("/")
        self._sampler = Sampler(self._now, MAX_SAMPLES)
        self._before = _cpu_times()

    def start(self) -> None:
        """Begin to measure: the container is on its way."""
        self._sampler.start()

    def stop(self) -> None:
        self._sampler.stop()

    def finish(self) -> ResourceUsage:
        """What the container has used, when it is gone: with the last sample; then nothing is left
        of its cgroups."""
        samples = self._sampler.kept()
        last = self._sample(self._outer)
        with contextlib.suppress(OSError):
            self._outer.rmdir()
        if last is not None:
            samples.append(_completed(last, samples))
        return ResourceUsage(tuple(samples), self._machine())

    def _now(self) -> Sample | None:
        return self._sample(self._outer / _INNER)

    def _sample(self, path: Path) -> Sample | None:
        sampled = _told(lambda: cgroup.sample(path)) if path.is_dir() else None
        if sampled is not None and (network := self._network.since()) is not None:
            sampled["netStat"] = network
        return sampled

    def _machine(self) -> dict[str, float] | None:
        after = _cpu_times()
        if self._before is None or after is None:
            return None
        return {key: plain(float(value - self._before.get(key, 0))) for key, value in after.items()}


def _cpu_times() -> dict[str, float] | None:
    return _told(cpu_times)


def _told(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except (OSError, ValueError, KeyError) as error:
        log.debug("the use of resources can't be told: %s", error)
        return None


def _completed(last: Sample, before: list[Sample]) -> Sample:
    earlier_cpu = before[-1].get("cpuStat") if before else None
    cpu = last.get("cpuStat")
    if isinstance(earlier_cpu, dict) and isinstance(cpu, dict):
        more = {key: earlier_cpu[key] for key in _OF_THE_INNER if earlier_cpu.get(key)}
        pressure = {"pressure": cpu["pressure"]} if "pressure" in cpu else {}
        last["cpuStat"] = {k: v for k, v in cpu.items() if k != "pressure"} | more | pressure
    return last
