"""One line of CSV, as `csvvalue` reads it."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.gotypes import csv_line


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a=b,c=d", ["a=b", "c=d"]),
        ("a,", ["a", ""]),
        ('type=x,"k=v,w"', ["type=x", "k=v,w"]),
        ('"a""b",c', ['a"b', "c"]),
    ],
)
def test_fields_may_be_quoted_as_a_whole(text: str, fields: list[str]) -> None:
    assert csv_line.fields(text) == fields


def test_what_is_joined_reads_the_same() -> None:
    pairs = [("a", "1"), ("b", 'x,"y"')]
    assert csv_line.fields(csv_line.join(pairs)) == ["a=1", 'b=x,"y"']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "EOF"),
        ("\n", "EOF"),
        ('é"', 'column 3: bare " in non-quoted-field'),
        ('a,"b', 'column 4: extraneous or missing " in quoted-field'),
        ('"a"b', 'column 3: extraneous or missing " in quoted-field'),
    ],
)
def test_columns_of_complaints_count_bytes(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        csv_line.fields(text)
    assert str(caught.value).removeprefix("parse error on line 1, ") == message


def test_an_end_of_line_is_no_part_of_a_field() -> None:
    assert csv_line.fields("a,b\r\n") == ["a", "b"]
