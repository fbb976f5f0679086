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
