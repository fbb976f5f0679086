"""Native syntax and JSON: where things are, and how what is wrong is named."""

from __future__ import annotations

import pytest

from croze.bake.hcl.bodies import parse_file
from croze.bake.hcl.json_parser import parse_json_file
from croze.bake.hcl.lexer import tokenize
from croze.bake.hcl.source import HclError
from croze.gotypes.json_text import JsonNumber, JsonSyntaxError, read_json


def test_tokens_cover_the_text_without_a_gap() -> None:
    text = 'a "x" { # c\n b = "é${upper("y")}" + 1.5\n c = <<-E\n  z ${1}\n  E\n}\n'
    at = 0
    for token in tokenize(text, "f"):
        between = text[at : token.range.start.offset]
        assert not between.strip()
        at = token.range.end.offset
    assert at == len(text)


def test_columns_count_what_a_reader_sees_as_characters() -> None:
    body = parse_file('a = "👨‍👩‍👧é" + b\n', "f")
    where = body.attributes["a"].expression.range
    assert (where.start.column, where.end.column) == (5, 13)


def test_an_error_tells_the_file_and_the_columns() -> None:
    with pytest.raises(HclError, match=r"f:2,7-8: ") as caught:
        parse_file("a = 1\nb = 1 2\n", "f")
    assert caught.value.subject is not None
    assert caught.value.subject.start.line == 2


@pytest.mark.parametrize("text", ["[" * 5000, "-" * 5000, "{a=" * 5000, '"${' * 5000, "(" * 5000])
def test_nesting_has_an_end(text: str) -> None:
    with pytest.raises(HclError):
        parse_file(f"a = {text}", "f")


def test_json_bodies_have_positions() -> None:
    with pytest.raises(HclError, match=r"f:2,10-11"):
        parse_json_file('{\n "a": [1,}\n}', "f")


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
def test_json_complaints(text: str, stream: bool, message: str) -> None:
    with pytest.raises(JsonSyntaxError) as caught:
        read_json(text, stream=stream)
    assert str(caught.value) == message
