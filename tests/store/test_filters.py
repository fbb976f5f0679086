"""containerd's filter grammar: where it takes spaces, and where its errors are said to be."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.store.filters import parse

_OPERATOR = 'expected an operator ("=="|"!="|"~=")'


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("type==regular ", "type==regular >| |< ", "unexpected input:  "),
        ("type==regular ,id", "type==regular >| |< ,id", "unexpected input:  "),
        ("type==regular id", "type==regular >| |< id", "unexpected input:  "),
        ('type=="a"x', 'type=="a" >|x|< ', "unexpected input: x"),
        ("type ", "type ", _OPERATOR),
        ("type , id", "type  >|,|<  id", _OPERATOR),
        ("type x", "type  >|x|< ", _OPERATOR),
        ("a .b==c", "a  >|.|< b==c", _OPERATOR),
        ("type== ", "type== ", "expected value or quoted"),
        ("  -x", "   >|-|< x", "expected field or quoted"),
        ("type  =x", "type   >|=|< x", 'unsupported operator "="'),
    ],
)
def test_what_is_no_filter_is_refused_at_its_place(text: str, where: str, what: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse([text])
    assert str(refused.value) == f"filters: parse error: [{where}]: {what}: invalid argument"


@pytest.mark.parametrize("text", [" type==a", "type ==a", "type== a", "type==a, id==b", "a. b"])
def test_spaces_stand_before_words(text: str) -> None:
    assert parse([text])({"type": "a", "id": "b", "a": ""})
