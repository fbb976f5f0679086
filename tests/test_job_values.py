"""What a job carries under typed keys."""

from __future__ import annotations

from croze.job_values import JobKey, JobValues

COUNT = JobKey[int]("count")
NAME = JobKey[str]("name")


def test_values_are_told_apart_by_key_and_by_job() -> None:
    one, other = JobValues(), JobValues()
    one.set(COUNT, 0)
    one.set(NAME, "n")
    assert (one.get(COUNT), one.get(NAME), one.of(COUNT)) == (0, "n", (0,))
    assert (other.get(COUNT), other.of(COUNT)) == (None, ())
    one.set(COUNT, 2)
    assert one.of(COUNT) == (2,)
    assert one.get(JobKey[int]("count")) is None, "names are for people"
