"""Wishes to end, counted."""

from __future__ import annotations

import os

import pytest

from croze.daemon import server
from croze.daemon.server import Shutdown


class Left(BaseException):
    """Instead of the end of the process."""


def leave(code: int) -> None:
    raise Left(code)


async def test_the_first_wish_waits_the_second_ends_builds_the_third_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "_exit", leave)
    stop = Shutdown()
    stop.ask()
    assert (stop.wanted.is_set(), stop.forced.is_set()) == (True, False)
    stop.ask()
    assert stop.forced.is_set()
    with pytest.raises(Left, match="1"):
        stop.ask()


async def test_signals_at_once_are_one_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Shutdown()
    for _ in range(3):
        stop.on_signal()
    assert (stop.wanted.is_set(), stop.forced.is_set()) == (True, False)
    monkeypatch.setattr(server, "ECHO_S", 0.0)
    stop.on_signal()
    assert stop.forced.is_set()
