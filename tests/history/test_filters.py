"""The filter grammar."""

from __future__ import annotations

import time

import pytest

from croze.api import control_pb2
from croze.api.attrs import to_attrs
from croze.errors import InvalidRequest
from croze.history.filters import fields, select
from tests.history.conftest import record


def builds() -> list[control_pb2.BuildHistoryRecord]:
    now = int(time.time())
    ok = record("ok", created_s=now - 7200, took_s=90)
    ok.FrontendAttrs.extend(to_attrs({"vcs:source": "https://example.com/app.git"}))
    bad = record("bad", created_s=now - 600, took_s=1)
    bad.error.message = "exit code: 1"
    bad.FrontendAttrs.extend(to_attrs({"context": "https://example.com/lib.git#main:sub"}))
    gone = record("gone", created_s=now - 60, took_s=2)
    gone.error.message = "failed to solve: context canceled"
    running = control_pb2.BuildHistoryRecord(Ref="running")
    running.CreatedAt.seconds = now
    return [ok, bad, gone, running]


@pytest.mark.parametrize(
    ("filters", "refs"),
    [
        ([], ["ok", "bad", "gone", "running"]),
        (["status==completed"], ["ok"]),
        (["status!=completed"], ["bad", "gone", "running"]),
        (["status==error", "status==canceled"], ["bad", "gone"]),
        (["status==running"], ["running"]),
        (["ref~=^.{3}$"], ["bad"]),
        (["repository==https://example.com/lib.git"], ["bad"]),
        (["repository~=app"], ["ok"]),
        (["repository"], ["ok", "bad"]),
        (["duration>=90s"], ["ok"]),
        (["duration>1m29.5s"], ["ok"]),
        (["duration<90s"], ["bad", "gone", "running"]),
        (["startedAt<1h"], ["ok"]),
        (["startedAt>=1h"], ["bad", "gone", "running"]),
        (["completedAt<2020-01-01T00:00:00Z"], ["running"]),
        (["startedAt>1h,status==error"], ["bad"]),
        (['"startedAt>1h","status==error"'], ["bad"]),
        (["startedAt>1h,status==error", "ref==ok"], ["ok", "bad"]),
        (["nothing==x"], []),
    ],
)
def test_selection(filters: list[str], refs: list[str]) -> None:
    assert [r.Ref for r in select(builds(), filters, 0)] == refs


def test_a_limit_takes_the_newest() -> None:
    assert [r.Ref for r in select(builds(), [], 2)] == ["running", "gone"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("startedAt>yesterday", "invalid time yesterday"),
        ("completedAt<=2020-01-01", "invalid time 2020-01-01"),
        ("duration>5", "invalid duration 5"),
        ("status=completed", "failed to parse history filters"),
        ('a"b', "bare"),
        ('"a"b', "extraneous"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        select(builds(), [text], 0)


def test_a_negative_limit() -> None:
    with pytest.raises(InvalidRequest, match="invalid limit -1"):
        select(builds(), [], -1)


def test_csv() -> None:
    assert fields('a,"b,""c""",d') == ["a", 'b,"c"', "d"]
    assert fields("a,,b,") == ["a", "", "b", ""]
    assert fields("") == []
