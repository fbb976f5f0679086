"""Steps of the client's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from croze.api import control_pb2
from croze.progress.own import own_step


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("no"), "no"),
        (asyncio.CancelledError(), "context canceled"),
        (KeyboardInterrupt(), "context canceled"),
    ],
)
def test_a_failure_is_shown_with_the_step(error: BaseException, shown: str) -> None:
    seen: list[control_pb2.StatusResponse] = []
    with pytest.raises(type(error)):
        _fail(error, seen.append)
    assert seen[-1].vertexes[0].error == shown
    [line] = (log for status in seen for log in status.logs)
    assert (line.vertex, line.msg) == (seen[0].vertexes[0].digest, b"said\n")


def _fail(error: BaseException, show: Callable[[control_pb2.StatusResponse], None]) -> None:
    with own_step("step", show) as log:
        log("said\n")
        raise error
