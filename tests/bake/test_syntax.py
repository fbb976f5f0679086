"""Native syntax and JSON: where things are, and how what is wrong is named."""

from __future__ import annotations

import pytest

from croze.bake.hcl.bodies import parse_file
from croze.bake.hcl.json_parser import parse_json_file
from croze.bake.hcl.lexer import tokenize
from croze.bake.hcl.source import HclError


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


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('{"target": "abc', "16-17"),
        ('{"target": "a\\', "15-16"),
        ('{"target": "a\\u12', "18-19"),
        ('{"target": "a\\x"}', "16-17"),
        ('{"target": "a\tb"}', "14-15"),
        ('{"target": "é\\q"}', "17-18"),
        ('{"a":"b c\\u00zz d"}', "15-16"),
        ('{"target": "a\\" }', "18-19"),
    ],
)
def test_json_strings_are_told_of_where_go_gave_up_on_them(text: str, columns: str) -> None:
    with pytest.raises(HclError) as refused:
        parse_json_file(text, "f.json")
    assert str(refused.value).startswith(f"f.json:1,{columns}: Invalid JSON string; ")
