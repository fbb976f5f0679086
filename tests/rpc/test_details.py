"""Details of errors, as peers may write them."""

from __future__ import annotations

import pytest
from google.protobuf import any_pb2

from croze.rpc import details

KINDS = ("Vertex", "CompatibilityFeature", "ProvenanceMaterialsIncomplete", "Source", "Solve", "No")
VALUES = (
    *(b"", b"\xff", b"[" * 100_000, b"[1]", b"{}", b'{"version": "x"}', b'{"incomplete": [1]}'),
    *(b'{"info": 1}', b'{"ranges": [{"start": {"line": 1e99}}]}', b'{"op": {"inputs": [[]]}}'),
)


@pytest.mark.parametrize("value", VALUES)
def test_whatever_is_said_is_read(value: bytes) -> None:
    urls = [f"github.com/moby/buildkit/errdefs.{kind}+json" for kind in KINDS]
    for url in (*urls, "github.com/moby/buildkit/policysession.DecisionResponse+json", "\0"):
        details.decode(any_pb2.Any(type_url=url, value=value))


def test_denials_that_are_none() -> None:
    url = "github.com/moby/buildkit/policysession.DecisionResponse+json"
    value = b'{"denyMessages": [1, {"message": "no"}, null]}'
    denied = details.decode(any_pb2.Any(type_url=url, value=value))
    assert getattr(denied, "messages", None) == ("no",)
