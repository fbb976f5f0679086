"""Samples of the machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from croze.telemetry import machine
from croze.telemetry.machine import MachineUsage, SharedSamples, sample

STAT = """cpu  100 200 300 400 5 6 7 8 9 10
cpu0 1 2 3
ctxt 12
btime 1
processes 34
procs_running 2
"""
MEMINFO = "MemTotal:       100 kB\nMemFree: 50 kB\nDirty: 0 kB\nHugePages_Total:  0\n"


def test_a_sample(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(STAT)
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure/io").write_text("some avg10=1.50 avg60=0.00 avg300=2.00 total=7\n")
    found = sample(tmp_path)
    assert found["cpuStat"] == {
        "user": 1.0,
        "nice": 2.0,
        "system": 3.0,
        "idle": 4.0,
        "iowait": 0.05,
        "irq": 0.06,
        "softirq": 0.07,
        "steal": 0.08,
        "guest": 0.09,
        "guestNice": 0.1,
    }
    assert found["procStat"] == {
        "contextSwitches": 12,
        "processCreated": 34,
        "processesRunning": 2,
    }
    memory = found["memoryStat"]
    assert isinstance(memory, dict)
    assert (memory["total"], memory["free"], memory["slab"]) == (100, 50, None)
    assert found["ioPressure"] == {
        "some": {"avg10": 1.5, "avg60": 0, "avg300": 2, "total": 7},
        "full": None,
    }
    assert "cpuPressure" not in found


async def test_while_something_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    is_taken = asyncio.Event()
    numbers = iter(range(1000))

    def take() -> dict[str, object]:
        number = next(numbers)
        if number == 30:
            is_taken.set()
        return {"number": number}

    monkeypatch.setattr(machine, "sample", take)
    usage = MachineUsage(SharedSamples(), 0.001)
    usage.start()
    await is_taken.wait()
    usage.stop()
    found = [each["number"] for each in usage.samples()]
    assert found[0] == 0
    assert len(found) < 31
    usage.stop()


def test_a_machine_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> dict[str, object]:
        raise OSError

    monkeypatch.setattr(machine, "sample", fail)
    assert MachineUsage(SharedSamples()).samples() == []


def test_builds_at_once_share_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[dict[str, object]] = []

    def take() -> dict[str, object]:
        readings.append({})
        return readings[-1]

    monkeypatch.setattr(machine, "sample", take)
    shared = SharedSamples()
    found = [MachineUsage(shared, 3600).samples() for _ in range(100)]
    assert len(readings) == 1
    assert all(samples == readings for samples in found)
    assert MachineUsage(shared, 0).samples() == [readings[1]]
