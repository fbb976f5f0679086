"""What a running container uses now, as the kernel tells it of its first process's cgroups.

Sources: the kernel's `admin-guide/cgroup-v1` and `cgroup-v2.rst`; proc(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from croze.runtime.host import CGROUP_ROOT

_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
_NO_LIMIT = 1 << 60
"""What version 1 says where there is none is near the largest number of all."""


class Stats(Struct, frozen=True):
    """Times in nanoseconds, memory in bytes; what the machine does not tell is 0 or empty.
    `limit_bytes` is the machine's memory where there is no other; `pids_limit` is 0 then.
    `read` and `written` are bytes by (major, minor) of a device, `networks` the counters of
    proc_pid_net(5) by interface and name."""

    cpu_total_ns: int = 0
    cpu_user_ns: int = 0
    cpu_system_ns: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0
    memory_bytes: int = 0
    memory_most_bytes: int = 0
    limit_bytes: int = 0
    memory: Mapping[str, int] = field(default_factory=dict)
    pids: int = 0
    pids_limit: int = 0
    read: Mapping[tuple[int, int], int] = field(default_factory=dict)
    written: Mapping[tuple[int, int], int] = field(default_factory=dict)
    networks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def read_stats(pid: int) -> Stats:
    """Blocks for some file reads. What has gone meanwhile uses nothing."""
    places = _places(pid)
    networks = _networks(pid) if _namespace(pid, "net") != _namespace(os.getpid(), "net") else {}
    stats = _v2(places[""], networks) if "" in places else _v1(places, networks)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if not 0 < stats.limit_bytes < _NO_LIMIT:
        return replace(stats, limit_bytes=machine)
    return stats


def machine_ns() -> int:
    """The time that all CPUs of the machine have spent, at work or idle, in nanoseconds."""
    first = Path("/proc/stat").read_text("ascii").partition("\n")[0]
    return sum(int(ticks) for ticks in first.split()[1:9]) * _TICK_NS


def pids_beside(pid: int) -> list[int]:
    """All processes of the container whose first one this is: by its pid namespace. Empty if that
    is the machine's own."""
    inside = _namespace(pid, "pid")
    if not inside or inside == _namespace(os.getpid(), "pid"):
        return []
    everything = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return sorted(each for each in everything if _namespace(each, "pid") == inside)


def _namespace(pid: int, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def _places(pid: int) -> dict[str, Path]:
    """The cgroup's directory for each controller; of version 2 there is one, without a name, unless
    controllers are with version 1."""
    places: dict[str, Path] = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text("utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            for name in controllers.split(","):
                root = CGROUP_ROOT / controllers.removeprefix("name=")
                places[name] = (root if name else CGROUP_ROOT) / path.lstrip("/")
    if len(places) > 1:
        places.pop("", None)
    return places


def _v2(place: Path, networks: Mapping[str, Mapping[str, int]]) -> Stats:
    cpu, devices = _flat(place / "cpu.stat"), dict(_io(place / "io.stat"))
    return Stats(
        cpu_total_ns=cpu.get("usage_usec", 0) * 1000,
        cpu_user_ns=cpu.get("user_usec", 0) * 1000,
        cpu_system_ns=cpu.get("system_usec", 0) * 1000,
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled_ns=cpu.get("throttled_usec", 0) * 1000,
        memory_bytes=_single(place / "memory.current"),
        limit_bytes=_single(place / "memory.max"),
        memory=_flat(place / "memory.stat"),
        pids=_single(place / "pids.current"),
        pids_limit=_single(place / "pids.max"),
        read={device: values.get("rbytes", 0) for device, values in devices.items()},
        written={device: values.get("wbytes", 0) for device, values in devices.items()},
        networks=networks,
    )


def _v1(places: Mapping[str, Path], networks: Mapping[str, Mapping[str, int]]) -> Stats:
    nowhere = Path("/nowhere")
    accounts, memory = places.get("cpuacct", nowhere), places.get("memory", nowhere)
    cpu, times = _flat(places.get("cpu", nowhere) / "cpu.stat"), _flat(accounts / "cpuacct.stat")
    moved = dict(_moved(places.get("blkio", nowhere) / "blkio.throttle.io_service_bytes"))
    return Stats(
        cpu_total_ns=_single(accounts / "cpuacct.usage"),
        cpu_user_ns=times.get("user", 0) * _TICK_NS,
        cpu_system_ns=times.get("system", 0) * _TICK_NS,
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled_ns=cpu.get("throttled_time", 0),
        memory_bytes=_single(memory / "memory.usage_in_bytes"),
        memory_most_bytes=_single(memory / "memory.max_usage_in_bytes"),
        limit_bytes=_single(memory / "memory.limit_in_bytes"),
        memory=_flat(memory / "memory.stat"),
        pids=_single(places.get("pids", nowhere) / "pids.current"),
        pids_limit=_single(places.get("pids", nowhere) / "pids.max"),
        read={device: value for (device, what), value in moved.items() if what == "Read"},
        written={device: value for (device, what), value in moved.items() if what == "Write"},
        networks=networks,
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii", "replace").splitlines()
    except OSError:
        return []


def _single(path: Path) -> int:
    """0 for what is not there, and for `max`."""
    first = next(iter(_lines(path)), "")
    return int(first) if first.isdecimal() else 0


def _flat(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _device(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(":")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _io(path: Path) -> Iterator[tuple[tuple[int, int], dict[str, int]]]:
    for line in _lines(path):
        first, *words = line.split()
        if (device := _device(first)) is not None:
            pairs = (word.partition("=") for word in words)
            yield device, {key: int(value) for key, _, value in pairs if value.isdecimal()}


def _moved(path: Path) -> Iterator[tuple[tuple[tuple[int, int], str], int]]:
    for line in _lines(path):
        words = line.split()
        if len(words) == 3 and (device := _device(words[0])) is not None:
            yield (device, words[1]), int(words[2])


_COUNTERS = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped")
_SENT = ("tx_bytes", "tx_packets", "tx_errors", "tx_dropped")


def _networks(pid: int) -> dict[str, dict[str, int]]:
    counters: dict[str, dict[str, int]] = {}
    for line in _lines(Path(f"/proc/{pid}/net/dev"))[2:]:
        name, _, rest = line.strip().partition(":")
        numbers = [int(text) for text in rest.split()]
        if name != "lo" and len(numbers) >= 12:
            received = dict(zip(_COUNTERS, numbers[:4], strict=True))
            counters[name] = received | dict(zip(_SENT, numbers[8:12], strict=True))
    return counters
