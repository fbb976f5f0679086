"""Text that may hold any bytes, and the two ways out of it."""

from __future__ import annotations

import pytest

from croze.api import control_pb2
from croze.api.attrs import of_attrs, to_attrs
from croze.gotypes import gojson
from croze.gotypes.strings import escaped, from_bytes, shown, to_bytes
from croze.session.filesync import DirRequest

RAW = b"caf\xe9 \xe2\x82 \xed\xa0\x80 \xc3\xa9"


def test_bytes_come_back() -> None:
    assert to_bytes(from_bytes(RAW)) == RAW
    assert to_bytes(from_bytes(bytes(range(256)))) == bytes(range(256))


def test_each_other_byte_is_shown_as_one_replacement() -> None:
    """As Go's decoder goes, which takes a broken sequence byte by byte."""
    text = from_bytes(RAW)
    assert shown(text) == "caf\ufffd \ufffd\ufffd \ufffd\ufffd\ufffd é"


def test_escapes_tell_names_apart() -> None:
    assert escaped(from_bytes(b"n\xff\xc3\xa9")) == "n\\xffé"


def test_json_writes_the_escape_for_a_byte_and_the_character_for_itself() -> None:
    value = {"b": from_bytes(b"\xff\xe2\x80\xa8<"), "a\udcfe": "\ufffd"}
    assert gojson.marshal(value) == '{"a\\ufffd":"\ufffd","b":"\\ufffd\\u2028\\u003c"}'.encode()
    assert b'"b": "\\ufffd' in gojson.marshal_indent(value)


def test_attributes_are_a_map_on_the_wire() -> None:
    attrs = {"label:a": from_bytes(RAW), "target": "x"}
    request = control_pb2.SolveRequest(FrontendAttrs=to_attrs(attrs))
    again = control_pb2.SolveRequest.FromString(request.SerializeToString())
    assert of_attrs(again.FrontendAttrs) == attrs
    assert b":\x0b\n\x06target\x12\x01x" in request.SerializeToString()


@pytest.mark.parametrize("raw", [RAW, b"plain", b"a+b %41"])
def test_patterns_come_through_headers(raw: bytes) -> None:
    asked = DirRequest("context", exclude=(from_bytes(raw), "b"))
    headers: dict[str, list[str]] = {}
    for key, value in asked.metadata():
        assert value.isascii()
        headers.setdefault(key, []).append(value)
    assert DirRequest.of_metadata(headers) == asked
