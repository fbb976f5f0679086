"""JSON as Go's `encoding/json` reads and writes it."""

from __future__ import annotations

import msgspec
import pytest

from croze.gotypes import gojson


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1.0", "1"),
        ("3.0e0", "3"),
        ("0.1", "0.1"),
        ("-0.0", "-0"),
        ("1e2", "100"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1.25e22", "1.25e+22"),
        ("1e-6", "0.000001"),
        ("1e-7", "1e-7"),
        ("-1.5e-9", "-1.5e-9"),
        ("9007199254740992", "9007199254740992"),
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
        ("100000000000000000000000", "1e+23"),
        ("7", "7"),
        ("true", "true"),
        ("null", "null"),
    ],
)
def test_numbers_of_any_type_are_floats(text: str, written: str) -> None:
    values = gojson.unmarshal(f'{{"b": [{text}, {{"c": {text}}}], "a": {text}}}')
    assert gojson.marshal_any(values) == (
        f'{{"a":{written},"b":[{written},{{"c":{written}}}]}}'.encode()
    )
    assert gojson.marshal_any(gojson.unmarshal(text)) == written.encode()


def test_numbers_that_are_no_floats() -> None:
    with pytest.raises(msgspec.MsgspecError):
        gojson.marshal_any(gojson.unmarshal("1" + "0" * 400))
    with pytest.raises(msgspec.MsgspecError):
        gojson.marshal_any([10**400])
