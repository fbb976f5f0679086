"""What the processes of a cgroup have used, and use: version 2 of cgroups alone, as in BuildKit.

Names and units are BuildKit's (`executor/resources/types`): times in nanoseconds, memory in bytes.
What a machine's controllers don't say is left out. Source of the files: the kernel's
`admin-guide/cgroup-v2.rst`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from croze.telemetry.machine import pressure, timestamp
from croze.telemetry.sampling import Sample

_CPU_TIMES = {
    "usage_usec": "usageNanos",
    "user_usec": "userNanos",
    "system_usec": "systemNanos",
}
_CPU_COUNTS = {"nr_periods": "nrPeriods", "nr_throttled": "nrThrottled"}
_THROTTLED = {"throttled_usec": "throttledNanos"}
_MEMORY = {
    "anon": "anon",
    "file": "file",
    "kernel_stack": "kernelStack",
    "pagetables": "pageTables",
    "sock": "sock",
    "shmem": "shmem",
    "file_mapped": "fileMapped",
    "file_dirty": "fileDirty",
    "file_writeback": "fileWriteback",
    "slab": "slab",
    "pgscan": "pgscan",
    "pgsteal": "pgsteal",
    "pgfault": "pgfault",
    "pgmajfault": "pgmajfault",
}
_EVENTS = {
    "low": "lowEvents",
    "high": "highEvents",
    "max": "maxEvents",
    "oom": "oomEvents",
    "oom_kill": "oomKillEvents",
}
_IO = {
    "rbytes": "readBytes",
    "wbytes": "writeBytes",
    "dbytes": "discardBytes",
    "rios": "readIOs",
    "wios": "writeIOs",
    "dios": "discardIOs",
}


def sample(cgroup: Path) -> Sample:
    """What the processes of the cgroup use now, and have used. Raises OSError or ValueError where
    it can't be read."""
    sampled: Sample = {"timestamp": timestamp()}
    for name, read in (("cpuStat", _cpu), ("memoryStat", _memory), ("ioStat", _io)):
        if (values := read(cgroup)) is not None:
            sampled[name] = values
    current = _single(cgroup / "pids.current")
    sampled["pidsStat"] = {} if current is None else {"current": current}
    return sampled


def _cpu(cgroup: Path) -> dict[str, object] | None:
    stat = _flat(cgroup / "cpu.stat")
    if stat is None:
        return None
    cpu: dict[str, object] = {}
    cpu |= {name: stat[key] * 1000 for key, name in _CPU_TIMES.items() if key in stat}
    cpu |= {name: stat[key] for key, name in _CPU_COUNTS.items() if key in stat}
    cpu |= {name: stat[key] * 1000 for key, name in _THROTTLED.items() if key in stat}
    return cpu | _pressure(cgroup / "cpu.pressure")


def _memory(cgroup: Path) -> dict[str, object] | None:
    stat = _flat(cgroup / "memory.stat")
    if stat is None:
        return None
    memory: dict[str, object] = {}
    swap, peak = (_single(cgroup / f"memory.{name}") for name in ("swap.current", "peak"))
    memory |= {} if swap is None else {"swapBytes": swap}
    memory |= _named(stat, _MEMORY)
    memory |= {} if peak is None else {"peak": peak}
    events = _named(_flat(cgroup / "memory.events") or {}, _EVENTS)
    memory |= {name: count for name, count in events.items() if count}
    return memory | _pressure(cgroup / "memory.pressure")


def _io(cgroup: Path) -> dict[str, object] | None:
    """Over all devices."""
    try:
        lines = _lines(cgroup / "io.stat")
    except FileNotFoundError:
        return None
    sums: Counter[str] = Counter()
    for line in lines:
        for word in line.split()[1:]:
            key, _, value = word.partition("=")
            if value.isdigit():
                sums[key] += int(value)
    return {**_named(sums, _IO), **_pressure(cgroup / "io.pressure")}


def _named(values: Mapping[str, int], names: Mapping[str, str]) -> dict[str, object]:
    return {name: values[key] for key, name in names.items() if key in values}


def _pressure(path: Path) -> dict[str, object]:
    pressures = pressure(path)
    return {} if pressures is None else {"pressure": pressures}


def _flat(path: Path) -> dict[str, int] | None:
    """A flat keyed file; None if there is none."""
    try:
        return dict(_pairs(path))
    except FileNotFoundError:
        return None


def _pairs(path: Path) -> Iterator[tuple[str, int]]:
    for line in _lines(path):
        key, _, value = line.partition(" ")
        if value.isdigit():
            yield key, int(value)


def _single(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except FileNotFoundError:
        return None


def _lines(path: Path) -> list[str]:
    return path.read_text("ascii", "replace").splitlines()
