"""What a step's limits are where builds that share it ask for different ones."""

from __future__ import annotations

import pytest

from croze.ops.limits import most_relaxed
from croze.runtime.contract import Resources


def one(**values: int | str) -> Resources:
    return Resources(**values)  # type: ignore[arg-type]


CASES = [
    (one(memory=64), one(memory=128), one(memory=128)),
    (one(memory=64), one(), one()),
    (one(memory_swap=256), one(), one(memory_swap=256)),
    (one(memory_swap=256), one(memory_swap=-1), one(memory_swap=-1)),
    (one(cpu_shares=256), one(), one(cpu_shares=256)),
    (one(cpu_quota=50, cpu_period=100), one(cpu_quota=80, cpu_period=100), (80, 100)),
    (one(cpu_quota=50, cpu_period=100), one(cpu_period=100), (0, 100)),
    (one(cpu_quota=80, cpu_period=200), one(cpu_quota=50, cpu_period=100), (50, 100)),
    (one(cpu_quota=100, cpu_period=200), one(cpu_quota=50, cpu_period=100), (50, 100)),
    (one(cpu_quota=100), one(cpu_quota=100, cpu_period=200), (100, 200)),
    (one(cpu_period=100), one(cpu_period=100), (0, 0)),
    (one(cpuset_cpus="0-1,5"), one(cpuset_cpus="2, 7"), one(cpuset_cpus="0-2,5,7")),
    (one(cpuset_cpus="0"), one(), one()),
    (one(cpuset_cpus="0-999999999"), one(cpuset_cpus="3,4"), one(cpuset_cpus="3,4")),
    (one(cpuset_mems="x"), one(cpuset_mems="2-1"), None),
]


@pytest.mark.parametrize(("a", "b", "expected"), CASES)
def test_nobody_is_held_back_by_another(
    a: Resources, b: Resources, expected: Resources | tuple[int, int] | None
) -> None:
    match expected:
        case None:
            assert most_relaxed(a, b) == a
        case (quota, period):
            expected = one(cpu_quota=quota, cpu_period=period)
    if expected is not None:
        assert most_relaxed(a, b) == expected
        assert most_relaxed(b, a) == expected
