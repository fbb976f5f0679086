"""Keys that leave a terminal, as moby/term reads them."""

from __future__ import annotations

import pytest

from croze.engineapi.container_routes.detach import Escape, parse
from croze.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", b"\x10\x11"), ("ctrl-a,b", b"\x01b"), ("ctrl-@", b"\0"), ("ctrl-_,ctrl-]", b"\x1f\x1d")],
)
def test_names(text: str, keys: bytes) -> None:
    assert parse(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", "a,,b", "é", "ctrl-A"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid detach keys"):
        parse(text)


@pytest.mark.parametrize(
    ("typed", "passed", "has_left"),
    [
        ([b"ls\n"], b"ls\n", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"a\x10", b"\x11"], b"a", True),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x10", b"x"], b"\x10x", False),
    ],
)
def test_what_is_typed(typed: list[bytes], passed: bytes, has_left: bool) -> None:
    escape = Escape(parse(""))
    results = [escape.typed(each) for each in typed]
    assert b"".join(data for data, _ in results) == passed
    assert results[-1][1] is has_left
