"""The text of JSON, and Go's words for what is none."""

from __future__ import annotations

import pytest

from croze.gotypes.json_text import JsonNumber, JsonSyntaxError, read_json, syntax_error


def test_json_numbers_stay_as_they_were_written() -> None:
    found = read_json("[1.10, -0e5]", stream=False)
    assert found == [JsonNumber("1.10"), JsonNumber("-0e5")]


@pytest.mark.parametrize(
    ("text", "stream", "message"),
    [
        ("[1", False, "unexpected end of JSON input"),
        ("[1", True, "EOF"),
        ("1 2", False, "invalid character '2' after top-level value"),
        ("1 2", True, "extraneous data after JSON object"),
        ('"\\ud800', True, "unexpected EOF"),
        ("[1.x]", True, "invalid character 'x' after decimal point in numeric literal"),
        ("1e+", False, "unexpected end of JSON input"),
        ("[" * 5000, False, "exceeded max depth"),
    ],
)
def test_what_is_not_json_is_told_in_gos_words(text: str, stream: bool, message: str) -> None:
    with pytest.raises(JsonSyntaxError) as caught:
        read_json(text, stream=stream)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": nul}', "invalid character '}' in literal null (expecting 'l')"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        ('{"a": 1,}', "invalid character '}' looking for beginning of object key string"),
        ("[1 2]", "invalid character '2' after array element"),
        ("", "unexpected end of JSON input"),
        (b'{"a": "\xff"}', ""),
        ("\u00e9", "invalid character '\u00c3' looking for beginning of value"),
        ("1e400", ""),
    ],
)
def test_a_whole_text_has_one_complaint_at_most(text: bytes | str, message: str) -> None:
    assert syntax_error(text) == message
