"""Signals of `croze run` on their way to a container that takes no notice of them."""

from __future__ import annotations

import pytest

from croze.client.crozed.run_image import InterruptPatience


@pytest.mark.parametrize(
    ("moments", "leaves"),
    [
        ((0.0, 0.1, 0.2, 0.3), 0),
        ((0.0, 1.0), 0),
        ((0.0, 0.5, 1.2, 1.9, 2.4), 1),
    ],
)
def test_who_interrupts_three_times_a_second_apart_leaves(
    moments: tuple[float, ...], leaves: int
) -> None:
    departures: list[int] = []
    patience = InterruptPatience(lambda: departures.append(1))
    for moment in moments:
        patience.count(moment)
    assert (len(departures), patience.is_over) == (leaves, bool(leaves))
