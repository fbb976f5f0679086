"""Whoever has the answer of a build may pull the plug: its record is there, whole, as BuildKit's
is."""

from __future__ import annotations

import hashlib
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import grpc
import pytest

from croze.api import (
    builds_pb2,
    builds_pb2_grpc,
    content_pb2,
    content_pb2_grpc,
    control_pb2,
    control_pb2_grpc,
)
from croze.api.attrs import to_attrs
from croze.history.records import descriptors
from croze.llb.fileop import copy, mkfile
from croze.llb.source import http
from croze.llb.state import State, scratch
from tests.e2e.sandbox import Sandbox
from tests.support.waiting import PATIENCE_S

KILLS = 20
Record = control_pb2.BuildHistoryRecord
Build = Callable[["Daemon", str], None]


class Daemon:
    """What a client asks of it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.control = control_pb2_grpc.ControlStub(channel)
        self.builds = builds_pb2_grpc.BuildsStub(channel)
        self._content = content_pb2_grpc.ContentStub(channel)

    def records(self, **what: object) -> list[Record]:
        request = control_pb2.BuildHistoryRequest(EarlyExit=True, **what)  # type: ignore[arg-type]
        return [event.record for event in self.control.ListenBuildHistory(request)]

    def blob(self, digest: str) -> bytes:
        read = content_pb2.ReadContentRequest(digest=digest)
        return b"".join(part.data for part in self._content.Read(read))


@contextmanager
def started(sandbox: Sandbox) -> Iterator[Daemon]:
    sandbox.start("--file-workers=1")
    with grpc.insecure_channel(sandbox.address) as channel:
        yield Daemon(channel)


def request_for(ref: str, state: State, **more: object) -> control_pb2.SolveRequest:
    return control_pb2.SolveRequest(Ref=ref, Definition=state.marshal(), **more)  # type: ignore[arg-type]


def done(daemon: Daemon, ref: str) -> None:
    daemon.control.Solve(request_for(ref, scratch().file(mkfile("/f", ref))))


def done_before(daemon: Daemon, ref: str) -> None:
    daemon.control.Solve(request_for(ref, scratch().file(mkfile("/f", "the same"))))


def an_image(daemon: Daemon, ref: str) -> None:
    image = control_pb2.Exporter(Type="image", Attrs=to_attrs({"name": f"app:{ref}"}))
    state = scratch().file(mkfile("/f", ref))
    daemon.control.Solve(request_for(ref, state, Exporters=[image]))


def failed(daemon: Daemon, ref: str) -> None:
    with pytest.raises(grpc.RpcError, match="nowhere"):
        daemon.control.Solve(request_for(ref, scratch().file(copy(scratch(), "/nowhere", "/"))))


def canceled(daemon: Daemon, ref: str) -> None:
    """By somebody who is told when it has ended."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{ref}"
        solving = daemon.control.Solve.future(request_for(ref, http(url)))
        connection, _ = silent.accept()
        with connection:
            daemon.builds.Cancel(builds_pb2.CancelBuildRequest(ref=ref))
        assert solving.code() is grpc.StatusCode.CANCELLED


class Outcome(NamedTuple):
    """What becomes of a build: in stock buildx's list, where it shows it, and in its log."""

    listed: str
    shown: str
    says: str


BUILDS: tuple[tuple[Build, Outcome], ...] = (
    (done, Outcome("Completed", "1/1", "mkfile")),
    (an_image, Outcome("Completed", "2/2", "exporting")),
    (failed, Outcome("Error", "lstat /nowhere", "nowhere")),
    (canceled, Outcome("Error", "Canceled", "context canceled")),
    (done_before, Outcome("Completed", "1/1", "mkfile")),
)


def check(daemon: Daemon, ref: str, outcome: Outcome) -> None:
    """The record of a build before the kill."""
    assert daemon.records(ActiveOnly=True) == []
    (record,) = daemon.records(Ref=ref)
    assert record.HasField("CompletedAt")
    assert record.HasField("error") == (outcome.listed != "Completed")
    assert record.HasField("externalError") == record.HasField("error")
    assert record.numTotalSteps > 0
    named = list(descriptors(record))
    assert len(named) >= 2, "a log, and an error or an attestation"
    for each in named:
        data = daemon.blob(each.digest)
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (each.digest[7:], each.size)
    status = daemon.control.Status(control_pb2.StatusRequest(Ref=ref))
    assert outcome.says in " ".join(f"{v.name} {v.error}" for each in status for v in each.vertexes)


def test_killed_with_the_answer(stopped: Sandbox) -> None:
    for number in range(KILLS):
        with started(stopped) as daemon:
            if number:
                check(daemon, f"r{number - 1}", BUILDS[(number - 1) % len(BUILDS)][1])
            build, _ = BUILDS[number % len(BUILDS)]
            build(daemon, f"r{number}")
            stopped.stop(signal.SIGKILL)
    with started(stopped) as daemon:
        outcomes = [outcome for _, outcome in BUILDS] * (KILLS // len(BUILDS))
        assert listed(stopped) == {f"r{n}": outcome.listed for n, outcome in enumerate(outcomes)}
        for number, outcome in enumerate(outcomes[: len(BUILDS)]):
            ref = f"r{number}"
            check(daemon, ref, outcome)
            assert "#1 " in stopped.buildx("sid", "history", "logs", ref, check=False).output
            assert outcome.shown in stopped.buildx("sid", "history", "inspect", ref).stdout


def listed(sandbox: Sandbox) -> dict[str, str]:
    """Refs and what became of them, as stock buildx lists them."""
    out = sandbox.buildx("sid", "history", "ls", "--format={{.Ref}} {{.Status}}").stdout
    rows = [line.split() for line in out.splitlines()]
    return {ref.rpartition("/")[2]: outcome for ref, outcome in rows}
