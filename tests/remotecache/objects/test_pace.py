"""How fast requests go to a storage that has had too many."""

from __future__ import annotations

from dataclasses import dataclass

from croze.remotecache.objects.pace import Pace


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def sent(pace: Pace, clock: Clock, per_s: int, seconds: float) -> int:
    """As many as may go, of `per_s` that want to; all are answered well."""
    done = 0
    for _ in range(round(per_s * seconds)):
        clock.now += 1 / per_s
        if pace.wait_s() == 0:
            pace.answered(throttled=False)
            done += 1
    return done


def test_nothing_is_held_back_before_it_is_too_much() -> None:
    clock = Clock()
    assert sent(Pace(clock), clock, 100, 5) == 500


def test_slower_then_faster_again() -> None:
    """Each time that it was too fast; then up to what it was, and on."""
    clock = Clock()
    pace = Pace(clock)
    sent(pace, clock, 100, 5)
    rates = []
    for _ in range(12):
        pace.answered(throttled=True)
        rates.append(sent(pace, clock, 100, 1))
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 30
    later = [sent(pace, clock, 100, 1) for _ in range(15)]
    assert later == sorted(later)
    assert later[1] < 40
    assert later[-1] == 100


def test_never_quite_stopped() -> None:
    """Not by a storage that wants nothing at all, from the first request on."""
    clock = Clock()
    pace = Pace(clock)
    for _ in range(10):
        pace.answered(throttled=True)
    wait_s = pace.wait_s()
    assert 0 < wait_s <= 2
    clock.now += wait_s
    assert pace.wait_s() == 0
