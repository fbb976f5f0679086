"""Errors on the wire, in BuildKit's encoding."""

from __future__ import annotations

import asyncio
import errno
import json

import pytest
from google.protobuf import any_pb2

from croze import errors
from croze.aio.parallel import root_cause
from croze.api import ops_pb2
from croze.errors import Position, Range
from croze.rpc.status import as_croze_error, from_status, status, to_status

SOURCE = errors.SourceDetail(
    "Dockerfile",
    b"FROM x\n",
    (Range(Position(1), Position(1, 4)),),
    definition=b"\x0a\x02op",
)
SOLVE = errors.SolveDetail(
    op=ops_pb2.Op(exec=ops_pb2.ExecOp(meta=ops_pb2.Meta(args=["false"]))).SerializeToString(),
    description={"k": "v"},
    input_ids=("i",),
    mount_ids=("m", ""),
)
DETAILS = (
    SOURCE,
    SOLVE,
    errors.VertexDetail("sha256:1"),
    errors.PolicyDetail(("not", "today")),
    errors.FrontendCapDetail("cap"),
    errors.SubrequestDetail("sub"),
    errors.CompatibilityDetail(10, "image exporter compression=zstd"),
)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound("gone", *DETAILS),
        errors.InvalidRequest("bad"),
        errors.CrozeError("any", DETAILS[2]),
        errors.ExitError("exit code: 3", 3, DETAILS[2]),
    ],
)
def test_there_and_back(error: errors.CrozeError, plain: bool) -> None:
    found = from_status(to_status(error, plain=plain))
    assert type(found) is type(error)
    assert found.details == error.details
    assert str(found).endswith(str(error))
    if isinstance(found, errors.ExitError):
        assert found.exit_code == 3


def test_the_encoding_is_buildkits() -> None:
    status = to_status(errors.CrozeError("x", SOURCE, SOLVE, DETAILS[2]))
    found = [(detail.type_url, json.loads(detail.value)) for detail in status.details]
    assert found == [
        (
            "github.com/moby/buildkit/errdefs.Source+json",
            {
                "info": {
                    "filename": "Dockerfile",
                    "data": "RlJPTSB4Cg==",
                    "definition": {"def": ["b3A="]},
                    "language": "Dockerfile",
                },
                "ranges": [{"start": {"line": 1}, "end": {"line": 1, "character": 4}}],
            },
        ),
        (
            "github.com/moby/buildkit/errdefs.Solve+json",
            {
                "inputIDs": ["i"],
                "mountIDs": ["m", ""],
                "op": {"exec": {"meta": {"args": ["false"]}}},
                "description": {"k": "v"},
            },
        ),
        ("github.com/moby/buildkit/errdefs.Vertex+json", {"digest": "sha256:1"}),
    ]


def test_plain_hides_the_code_from_other_clients() -> None:
    assert to_status(errors.NotFound("x")).code == 5
    assert to_status(errors.NotFound("x"), plain=True).code == 2
    assert to_status(errors.Canceled(), plain=True).code == 1


def test_codes_stand_before_messages_as_in_go() -> None:
    assert str(from_status(status(5, "x"))) == "NotFound: x"
    assert str(from_status(status(2, "x"))) == "x"
    canceled = from_status(status(1, "context canceled"))
    assert isinstance(canceled, errors.Canceled)


def test_details_that_make_no_sense_are_passed_over() -> None:
    prefix = "github.com/moby/buildkit/errdefs."
    details = [
        any_pb2.Any(type_url=f"{prefix}Source+json", value=b"{"),
        any_pb2.Any(type_url=f"{prefix}Source+json", value=b'{"info":{"data":7}}'),
        any_pb2.Any(type_url=f"{prefix}Vertex+json", value=b"[]"),
        any_pb2.Any(type_url="github.com/moby/buildkit/stack.Stack+json", value=b"{}"),
    ]
    found = from_status(status(2, "x", details))
    assert found.details == (errors.VertexDetail(""),)


def test_any_error_becomes_one() -> None:
    full = as_croze_error(OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(full, errors.ResourceExhausted)
    assert str(full) == "no space left on device"
    missing = as_croze_error(FileNotFoundError(errno.ENOENT, "No such file", "/x"))
    assert str(missing) == "/x: no such file"
    assert str(as_croze_error(ValueError("odd"))) == "odd"
    assert isinstance(as_croze_error(asyncio.CancelledError()), errors.Canceled)


def test_the_cause_of_a_group() -> None:
    cause = errors.NotFound("this")
    group = BaseExceptionGroup("g", [asyncio.CancelledError(), ValueError(), cause])
    assert root_cause(BaseExceptionGroup("outer", [group])) is cause


def test_what_no_peer_would_take_is_cut() -> None:
    """A status is a header; the small details stay, and the message does up to a point."""
    file = errors.SourceDetail("Dockerfile", b"x" * 5_000_000, SOURCE.ranges)
    vertex = errors.VertexDetail("sha256:1")
    shown = from_status(to_status(errors.InvalidRequest("bad", file, vertex), plain=True))
    assert shown.details == (file, vertex)
    cut = from_status(to_status(errors.InvalidRequest("bad", SOURCE, file, vertex, file)))
    assert cut.details == (SOURCE, vertex, file)
    assert len(str(from_status(to_status(errors.NotFound("x" * 5_000_000))))) < 300_000
