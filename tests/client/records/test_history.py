"""Records of past builds, as a client asks for them."""

from __future__ import annotations

import pytest

from croze.client.records.history import CLOCK_HEADER, _clock


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.5Z", 10.5),
        ("1970-01-01T02:00:10.250000999+02:00", 10.25),
        ("1969-12-31T19:00:10.25-05:00", 10.25),
        ("soon", 0.0),
    ],
)
def test_the_daemons_clock_is_read_in_any_zone(text: str, seconds: float) -> None:
    """BuildKit tells the time of its own zone, in nanoseconds."""
    assert _clock([("x", "y"), (CLOCK_HEADER, text)]) == seconds
