"""What `croze why` says of a build as a whole."""

from __future__ import annotations

import pytest

from croze.cli.why import summary


@pytest.mark.parametrize(
    ("missed", "total", "text"),
    [
        (0, 0, "The build had no steps."),
        (0, 1, "The only step was in the cache."),
        (1, 1, "The only step missed the cache."),
        (0, 2, "All 2 steps were in the cache."),
        (1, 2, "1 of 2 steps missed the cache."),
    ],
)
def test_steps_are_counted_in_words(missed: int, total: int, text: str) -> None:
    assert summary(missed, total) == text
