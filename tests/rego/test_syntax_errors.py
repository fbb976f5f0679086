"""What is no module is told of in OPA's words, at its places."""

from __future__ import annotations

import pytest

from croze.rego.errors import RegoError
from croze.rego.parse.module import parse_module


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "x.rego:0: rego_parse_error: empty module"),
        ("\n# nothing\n", "x.rego:0: rego_parse_error: empty module"),
        ("packag x\n", "x.rego:1: rego_parse_error: package expected"),
        (
            "package x\nallow if {",
            "x.rego:2: rego_parse_error: unexpected eof token\n\tallow if {\n\t         ^",
        ),
        (
            "package x\nallow if {  \n\n\n",
            "x.rego:5: rego_parse_error: unexpected eof token\n\tallow if {  \n\t         ^",
        ),
        (
            "package x\nimport foo.bar\n",
            "x.rego:2: rego_parse_error: unexpected import path, must begin with one of: "
            "{data, future, input, rego}, got: foo (hint: if this is unexpected, try updating "
            "OPA)\n\timport foo.bar\n\t       ^",
        ),
    ],
)
def test_what_is_no_module(text: str, told: str) -> None:
    with pytest.raises(RegoError) as caught:
        parse_module("x.rego", text)
    assert str(caught.value) == f"1 error occurred: {told}"
