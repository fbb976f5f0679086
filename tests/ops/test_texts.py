"""Texts that must be Go's: JSON that is hashed, quotes in errors."""

from __future__ import annotations

import pytest

from croze.api import ops_pb2
from croze.gotypes import messages
from croze.ops.content import dedupe_paths


def test_json_escapes() -> None:
    text = 'a<b>&"\\\n\x01\u2028é\U0001f600'
    assert messages.encode([text]).decode() == (
        '["a\\u003cb\\u003e\\u0026\\"\\\\\\n\\u0001\\u2028é\U0001f600"]'
    )


def test_json_of_messages() -> None:
    owner = ops_pb2.ChownOpt()
    owner.user.byID = 0
    owner.group.byName.name = "g"
    mkfile = ops_pb2.FileActionMkFile(path="/f", data=b"\xff", owner=owner, timestamp=-1)
    assert messages.encode(mkfile).decode() == (
        '{"path":"/f","data":"/w==","owner":{"user":{"User":{}},'
        '"group":{"User":{"byName":{"name":"g"}}}},"timestamp":-1}'
    )
    build = ops_pb2.BuildOp(attrs={"b": "2", "a": "1"})
    assert messages.encode(build) == b'{"attrs":{"a":"1","b":"2"}}'


@pytest.mark.parametrize(
    ("paths", "tops"),
    [
        (["/b", "/a", "/a/x", "/ab"], ["/a", "/ab", "/b"]),
        (["/", "/x"], ["/"]),
        (["/a", "/a"], ["/a"]),
        (["/a/", "/a/b"], ["/a/"]),
        (["/x"], ["/x"]),
        ([], []),
    ],
)
def test_paths_below_others(paths: list[str], tops: list[str]) -> None:
    assert dedupe_paths(paths) == tops
