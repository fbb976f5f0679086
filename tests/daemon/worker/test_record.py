"""What a worker can run."""

from __future__ import annotations

import pytest

from croze.daemon.worker.record import MachinePlatforms, amd64_levels
from croze.errors import InvalidRequest
from croze.image import platform as platforms

V2 = "pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm"
V3 = "fma movbe xsave avx f16c bmi1 avx2 bmi2 abm"
V4 = "avx512f avx512dq avx512cd avx512bw avx512vl"


@pytest.mark.parametrize(
    ("flags", "levels"),
    [
        (V2, ["v2"]),
        (f"{V2} {V3}", ["v2", "v3"]),
        (f"{V2} {V3} {V4} more", ["v2", "v3", "v4"]),
        (f"{V2} {V4}", ["v2"]),
        (V2.replace("cx16", ""), []),
    ],
)
def test_levels_of_amd64(flags: str, levels: list[str]) -> None:
    cpuinfo = f"processor\t: 0\nflags\t\t: fpu {flags}\nprocessor\t: 1\nflags\t\t: fpu\n"
    assert amd64_levels(cpuinfo.splitlines(keepends=True)) == levels


def test_a_machine_that_tells_no_flags() -> None:
    assert amd64_levels([]) == []


def test_configured_platforms_come_before_those_that_the_machine_has_besides() -> None:
    listed = [platforms.format(p) for p in MachinePlatforms(["freebsd/arm", "freebsd/amd64"], 1)]
    machine = [platforms.format(p) for p in MachinePlatforms([], 1)]
    assert listed == ["freebsd/arm/v7", "freebsd/amd64", *machine]
    assert machine[0] == platforms.format(platforms.default_platform())


def test_what_a_configured_platform_runs_is_not_listed_again() -> None:
    native = platforms.format(platforms.default_platform())
    listed = [platforms.format(each) for each in MachinePlatforms([native], 1)]
    assert listed.count(native) == 1
    assert "linux/386" not in listed


def test_a_platform_that_is_none_is_refused_at_once() -> None:
    """And not with the first build."""
    with pytest.raises(InvalidRequest, match=r'^"odd": unknown operating system or architecture'):
        MachinePlatforms(["linux/amd64", "odd"], 1)
