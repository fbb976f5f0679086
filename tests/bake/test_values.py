"""Numbers are exact, as far as 512 bits go."""

from __future__ import annotations

from decimal import Decimal, getcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croze.bake.values import number as numbers
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.number_text import plain
from croze.bake.values.types import BOOL, NUMBER, STRING, list_of, set_of
from croze.bake.values.value import equals, integer, list_value, string, tuple_value


def parsed(text: str) -> numbers.Number:
    found = numbers.parse(text)
    assert found is not None
    return found


@given(st.integers(1, 10**60), st.integers(-(10**60), -1))
def test_whole_numbers_are_exact(left: int, right: int) -> None:
    a, b = parsed(str(left)), parsed(str(right))
    assert plain(numbers.add(a, b)) == str(left + right)
    assert plain(numbers.multiply(a, b)) == str(left * right)


@given(st.integers(-(10**30), 10**30), st.integers(0, 40))
def test_decimals_come_back_as_they_were_written(digits: int, places: int) -> None:
    getcontext().prec = 100
    text = format(Decimal(digits).scaleb(-places), "f")
    want = format(Decimal(text).normalize(), "f") if Decimal(text) else text
    if Decimal(text):
        assert plain(parsed(text)) == want


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_division_is_within_the_last_bit(left: Fraction, right: Fraction) -> None:
    if not left or not right:
        return
    a = numbers.divide(parsed(str(left.numerator)), parsed(str(left.denominator)))
    b = numbers.divide(parsed(str(right.numerator)), parsed(str(right.denominator)))
    found = Fraction(plain(numbers.divide(a, b)))
    assert abs(found - left / right) <= abs(left / right) * Fraction(1, 2**500)


def test_values_convert_as_ctys_do() -> None:
    assert convert(string("1.50"), NUMBER).number.value == parsed("1.5").value
    texts = convert(tuple_value([integer(1), string("b")]), list_of(STRING))
    assert equals(texts, list_value([string("1"), string("b")], STRING))
    both = convert(tuple_value([integer(2), integer(1), integer(2)]), set_of(NUMBER))
    assert [plain(each.number) for each in both.items] == ["1", "2"]
    with pytest.raises(ConversionError, match="a bool is required"):
        convert(string("maybe"), BOOL)
