"""What a cgroup says in its files, as the kernel writes them; and of a container until its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

from croze.runtime.usage import UsageMeter
from croze.telemetry.cgroup import sample

FILES = {
    "cpu.stat": """usage_usec 270525
user_usec 266488
system_usec 4037
core_sched.force_idle_usec 0
nr_periods 12
nr_throttled 3
throttled_usec 451
nr_bursts 0
burst_usec 0
""",
    "cpu.pressure": "some avg10=11.77 avg60=2.12 avg300=0.44 total=1329021\n"
    "full avg10=11.59 avg60=2.09 avg300=0.43 total=1318070\n",
    "memory.stat": """anon 368640
file 12288
kernel 1036288
kernel_stack 32768
pagetables 65536
sec_pagetables 0
percpu 640
sock 0
vmalloc 0
shmem 4096
file_mapped 8192
file_dirty 0
file_writeback 0
swapcached 0
slab_reclaimable 419864
slab_unreclaimable 303416
slab 723280
pgscan 7
pgsteal 6
pgfault 1421
pgmajfault 5
""",
    "memory.peak": "2883584\n",
    "memory.swap.current": "0\n",
    "memory.events": "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n",
    "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "io.stat": "8:0 rbytes=180224 wbytes=4096 rios=22 wios=1 dbytes=0 dios=0\n"
    "253:1 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \n",
    "io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=42\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=40\n",
    "pids.current": "2\n",
}
NONE = {"avg10": 0, "avg60": 0, "avg300": 0, "total": 0}


def write(folder: Path, **changed: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (FILES | {k.replace("_", ".", 1): v for k, v in changed.items()}).items():
        (folder / name).write_text(text)
    return folder


SAMPLE = {
    "cpuStat": {
        "usageNanos": 270525000,
        "userNanos": 266488000,
        "systemNanos": 4037000,
        "nrPeriods": 12,
        "nrThrottled": 3,
        "throttledNanos": 451000,
        "pressure": {
            "some": {"avg10": 11.77, "avg60": 2.12, "avg300": 0.44, "total": 1329021},
            "full": {"avg10": 11.59, "avg60": 2.09, "avg300": 0.43, "total": 1318070},
        },
    },
    "memoryStat": {
        "swapBytes": 0,
        "anon": 368640,
        "file": 12288,
        "kernelStack": 32768,
        "pageTables": 65536,
        "sock": 0,
        "shmem": 4096,
        "fileMapped": 8192,
        "fileDirty": 0,
        "fileWriteback": 0,
        "slab": 723280,
        "pgscan": 7,
        "pgsteal": 6,
        "pgfault": 1421,
        "pgmajfault": 5,
        "peak": 2883584,
        "maxEvents": 9,
        "oomEvents": 1,
        "oomKillEvents": 1,
        "pressure": {"some": NONE, "full": NONE},
    },
    "ioStat": {
        "readBytes": 180225,
        "writeBytes": 4098,
        "discardBytes": 5,
        "readIOs": 25,
        "writeIOs": 5,
        "discardIOs": 6,
        "pressure": {"some": NONE | {"total": 42}, "full": NONE | {"total": 40}},
    },
    "pidsStat": {"current": 2},
}


def test_names_and_units_are_buildkits(tmp_path: Path) -> None:
    found = sample(write(tmp_path))
    assert str(found.pop("timestamp")).endswith("Z")
    assert found == SAMPLE


def test_without_controllers_there_is_little_to_say(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 5\nuser_usec 4\nsystem_usec 1\n")
    found = sample(tmp_path)
    del found["timestamp"]
    times = {"usageNanos": 5000, "userNanos": 4000, "systemNanos": 1000}
    assert found == {"cpuStat": times, "pidsStat": {}}


KINDS = ("bytes", "packets", "errors", "dropped")


async def test_a_container_is_measured_until_it_is_gone(tmp_path: Path) -> None:
    """The last sample is of the cgroup around it, which then goes, too."""
    meter = UsageMeter("/buildkit/x", tmp_path)
    assert meter.inner == "/buildkit/x/step"
    outer = tmp_path / "buildkit/x"
    write(outer / "step")
    meter._sampler._interval_s = 0.001  # two seconds are too long for a test
    meter.start()
    while not meter._sampler.kept():
        await asyncio.sleep(0)
    meter.stop()
    inner = meter._sampler.kept()[-1]
    around = "usage_usec 9\nuser_usec 9\nsystem_usec 0\nnr_periods 0\n"
    write(outer, cpu_stat=around, pids_current="0\n")
    usage = meter.finish()
    assert usage.samples[-2]["cpuStat"] == inner["cpuStat"]
    last = usage.samples[-1]["cpuStat"]
    assert isinstance(last, dict)
    assert list(last) == [
        *("usageNanos", "userNanos", "systemNanos", "nrPeriods", "nrThrottled", "throttledNanos"),
        "pressure",
    ]
    assert (last["usageNanos"], last["nrThrottled"]) == (9000, 3)
    assert usage.members().keys() == {"samples", "sysCPUStat"}
    assert usage.machine is not None
    assert usage.machine.keys() >= {"user", "system", "idle"}


def test_what_goes_through_the_network_of_a_container(tmp_path: Path) -> None:
    counters = tmp_path / "net/veth1/statistics"
    counters.mkdir(parents=True)
    names = [f"{way}_{kind}" for way in ("rx", "tx") for kind in KINDS]
    for name in names:
        (counters / name).write_text("100\n")
    outer = tmp_path / "x"
    write(outer / "step")
    meter = UsageMeter("x", tmp_path, interface="veth1", sysfs=tmp_path / "net")
    (counters / "rx_bytes").write_text("1100\n")
    (counters / "rx_packets").write_text("102\n")
    write(outer)
    assert meter.finish().samples[-1]["netStat"] == {"rxBytes": 1000, "rxPackets": 2}
    for interface in ("", "veth2", "..", "../veth1"):
        write(outer)
        unknown = UsageMeter("x", tmp_path, interface=interface, sysfs=tmp_path / "net")
        assert "netStat" not in unknown.finish().samples[-1]


async def test_a_container_that_never_was_has_no_samples(tmp_path: Path) -> None:
    meter = UsageMeter("buildkit/x", tmp_path)
    assert meter.finish().samples == ()
