"""How a child of the warm process tells its caller how the command ended."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from croze.cli import early
from croze.cli.warm import child as warm_child
from croze.cli.warm.thin_caller import ThinCaller
from croze.client.planning.options import BuildOptions
from croze.drivers.reach import Reach
from croze.errors import CrozeError
from croze.sdk.remember import remembering


def test_the_exit_code_is_told_once_and_early(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    orders, warm = socket.socketpair()
    with ours, theirs, orders, warm:
        caller = warm_child.Waiting(ThinCaller(ours), orders)
        monkeypatch.setattr(early, "_tell", None)
        early.done(5)  # nobody waits elsewhere
        early.on_done(caller.tell)
        early.done(0)
        caller.tell(1)  # the command fails to put something away
        assert theirs.recv(100) == b"X0;"
        assert warm.recv(1) == b"", "the warm process gets the next child ready"
        theirs.close()
        codes: list[int] = []
        monkeypatch.setattr(warm_child, "GRACE_S", 0)
        monkeypatch.setattr(os, "_exit", codes.append)
        warm_child.relay_signals(caller)  # the caller has not vanished, but ended: no signal
        assert len(codes) == 1, "it has not all the time of the world"


@pytest.mark.parametrize("is_killed", [False, True])
def test_only_the_caller_stops_what_runs_its_command(
    monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    """Who stops itself may do so after it has been let go on, and stay stopped for ever."""
    ours, theirs = socket.socketpair()
    orders, warm = socket.socketpair()
    signals: list[int] = []
    monkeypatch.setattr(warm_child, "GRACE_S", 0)
    monkeypatch.setattr(os, "kill", lambda _, number: signals.append(number))
    monkeypatch.setattr(os, "_exit", signals.append)
    with ours, theirs, orders, warm:
        theirs.send(bytes([signal.SIGWINCH, signal.SIGTSTP]))
        if is_killed:
            theirs.close()
        else:
            theirs.shutdown(socket.SHUT_WR)
        warm_child.relay_signals(warm_child.Waiting(ThinCaller(ours), orders))
        assert is_killed or theirs.recv(100) == b"T0;"
    assert signals == [signal.SIGWINCH, signal.SIGINT, 128 + signal.SIGINT]


def test_paths_are_on_disk_before_a_build_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path))

    def nowhere() -> object:
        raise AssertionError("nobody dials")

    there = Reach(nowhere)  # type: ignore[arg-type]
    with remembering(BuildOptions(context=str(tmp_path)), there) as remembered:
        ref = remembered.options.ref
        remembered.write()
        assert (tmp_path / "refs" / there.place / ref).is_file()
    with remembering(BuildOptions(context=".", call="check"), there) as remembered:
        assert not remembered.options.ref


@pytest.mark.parametrize("record", ["", "b/b0/ref"])
def test_paths_are_kept_for_what_has_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path))
    there = Reach(lambda: None)  # type: ignore[arg-type, return-value]
    with (
        pytest.raises(CrozeError),
        remembering(BuildOptions(context=str(tmp_path)), there) as remembered,
    ):
        raise CrozeError("no such context").of_record(record)
    written = (tmp_path / "refs" / there.place / remembered.options.ref).is_file()
    assert written is bool(record)
