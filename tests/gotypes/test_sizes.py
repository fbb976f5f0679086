"""Sizes, as docker/go-units reads and writes them."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.gotypes.sizes import binary_size, human_size, parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100", 100),
        ("64m", 64 << 20),
        ("1.5GiB", 3 << 29),
        ("1.5 gib", 3 << 29),
        ("7 b", 7),
        ("1e3k", 1000 << 10),
        ("2P", 2 << 50),
        ("2kb", 2048),
    ],
)
def test_units_are_powers_of_1024(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid size: ''"),
        ("x", "invalid size: 'x'"),
        ("-1", "invalid size: '-1'"),
        ("1bb", "invalid suffix: 'bb'"),
        ("1zz", "invalid suffix: 'zz'"),
        ("1E", "invalid suffix: 'e'"),
        ("1Gibi", "invalid suffix: 'Gibi'"),
        ("1.2.3", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
        (" 1", 'strconv.ParseFloat: parsing " 1": invalid syntax'),
        ("1e400", 'strconv.ParseFloat: parsing "1e400": value out of range'),
    ],
)
def test_what_is_no_size_is_refused_in_go_units_words(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_bytes(text)
    assert str(refused.value) == message


def test_sizes_are_written_with_four_digits() -> None:
    assert [human_size(n) for n in (0, 999, 1000, 1980000)] == ["0B", "999B", "1kB", "1.98MB"]
    assert [binary_size(n) for n in (0, 1023, 3 << 29)] == ["0B", "1023B", "1.5GiB"]
