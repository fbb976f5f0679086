"""Errors do not change: what is added makes another one."""

from __future__ import annotations

import errno
import pickle
import traceback

import pytest

from croze.errors import (
    Canceled,
    CrozeError,
    ExitError,
    NotFound,
    ResourceExhausted,
    SolveDetail,
    VertexDetail,
    as_own,
)


def test_what_is_added_makes_a_new_error() -> None:
    first = ExitError("exit code: 3", 3, VertexDetail("a"))
    second = first.wrap("step").with_detail(VertexDetail("a"), SolveDetail(b"op"))
    assert (str(first), first.details) == ("exit code: 3", (VertexDetail("a"),))
    assert (str(second), second.exit_code) == ("step: exit code: 3", 3)
    assert second.details == (VertexDetail("a"), SolveDetail(b"op"))
    assert str(Canceled().with_message("gone")) == "gone"


def test_it_is_raised_where_the_first_was() -> None:
    def fail() -> None:
        raise NotFound("it") from ValueError("why")

    with pytest.raises(NotFound) as caught:
        fail()
    more = caught.value.wrap("more")
    assert traceback.extract_tb(more.__traceback__)[-1].name == "fail"
    assert isinstance(more.__cause__, ValueError)


def test_it_travels_between_processes() -> None:
    error = ExitError("exit code: 3", 3, VertexDetail("a")).wrap("step")
    other = pickle.loads(pickle.dumps(error))
    assert isinstance(other, ExitError)
    assert (str(other), other.exit_code, other.details) == (str(error), 3, error.details)
    assert isinstance(other, CrozeError)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(errno.EIO, "Input/output error", "/a/b"), CrozeError, "/a/b: input/output error"),
        (OSError(errno.ENOSPC, "No space left"), ResourceExhausted, "no space left"),
        (OSError(errno.EREMOTEIO, "Remote I/O error"), CrozeError, "remote I/O error"),
        (OSError("odd"), CrozeError, "odd"),
        (ValueError("odd"), CrozeError, "odd"),
        (ValueError(), CrozeError, "ValueError"),
        (NotFound("x"), NotFound, "x"),
    ],
)
def test_those_of_others_as_users_see_them(
    error: Exception, kind: type[CrozeError], text: str
) -> None:
    own = as_own(error)
    assert (type(own), str(own)) == (kind, text)
