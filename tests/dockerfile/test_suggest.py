"""The nearest of some names, at a cost that has a bound."""

from __future__ import annotations

import random

from croze.dockerfile.suggest import Comparisons, suggest


def distance(a: str, b: str) -> int:
    """The whole table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def test_the_nearest_is_the_first_of_the_least_distance() -> None:
    dice = random.Random(1)

    def name() -> str:
        return "".join(dice.choices("abc", k=dice.randrange(1, 8)))

    for _ in range(2000):
        value, options = name(), [name() for _ in range(4)]
        nearest = min(options, key=lambda option: distance(value, option))
        expects_none = value in options or distance(value, nearest) >= 3
        assert suggest(value, options, case_sensitive=True) == ("" if expects_none else nearest)


def test_after_very_many_comparisons_there_are_no_suggestions() -> None:
    comparisons = Comparisons(letters=10)
    assert comparisons.suggest("abcd", ["abce", "x"]) == "abce"
    assert comparisons.suggest("abcd", ["abce", "efghijk"]) == "abce"
    assert comparisons.suggest("abcd", ["abce", "x"]) == ""


def test_long_names_are_compared_near_the_diagonal() -> None:
    long = "x" * 20_000
    assert suggest(f"{long}a", [f"{long}b"], case_sensitive=True) == f"{long}b"
