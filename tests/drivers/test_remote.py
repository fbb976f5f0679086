"""Builders of somebody else's daemon: whether it is waited for, and what is said for want of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from croze.api import control_pb2, worker_pb2
from croze.builders.model import BuilderNode
from croze.drivers import remote
from croze.drivers.commands import CommandFailed
from croze.drivers.reach import Reach, reaches
from croze.drivers.remote import RemoteDriver
from croze.errors import InvalidRequest, Unavailable
from croze.rpc.server import Server
from tests.e2e.carrier import CARRIER
from tests.rpc.served import served

Handler: TypeAlias = "grpc.RpcMethodHandler[control_pb2.InfoRequest, control_pb2.InfoResponse]"
FAR = BuilderNode("far", "ssh://far")
REFUSES = "#!/bin/sh\necho x >>{log}\necho no such host >&2\nexit 255\n"


async def info(request: object, context: object) -> control_pb2.InfoResponse:
    return control_pb2.InfoResponse(buildkitVersion=worker_pb2.BuildkitVersion(version="v1"))


INFO = grpc.unary_unary_rpc_method_handler(
    info,
    request_deserializer=control_pb2.InfoRequest.FromString,
    response_serializer=control_pb2.InfoResponse.SerializeToString,
)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A line for each time that a program named `ssh` was started, which refuses."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(remote, "BOOT_TIMEOUT_S", 0.6)
    monkeypatch.setattr(remote, "_QUIET_S", 0.1)
    program(tmp_path, REFUSES.format(log=tmp_path / "log"))
    return tmp_path / "log"


def program(folder: Path, text: str) -> None:
    (folder / "ssh").write_text(text)
    (folder / "ssh").chmod(0o755)


async def test_who_builds_nothing_asks_once(log: Path) -> None:
    """And hears why the command failed."""
    driver = RemoteDriver(FAR)
    reach = Reach(driver.dial, "far", "far0", kind="remote", driver=driver)
    with pytest.raises(CommandFailed) as caught:
        async with reach.once() as client:
            await client.workers()
    assert str(caught.value) == (
        "command [ssh -- far buildctl dial-stdio] has exited with exit status 255, "
        "make sure the URL is valid: stderr=no such host"
    )
    assert log.read_text() == "x\n"


async def test_a_build_waits_and_shows_it(log: Path) -> None:
    shown: list[control_pb2.StatusResponse] = []
    with pytest.raises(Unavailable, match=r"exit status 255.*: stderr=no such host"):
        await RemoteDriver(FAR).boot(shown.append)
    assert [v.name for status in shown for v in status.vertexes][:1] == [
        "[internal] waiting for connection"
    ]
    assert len(log.read_text()) > 2, "it was tried again"


async def test_a_program_that_is_not_there_is_not_waited_for(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(log.parent / "none"))
    monkeypatch.setattr(remote, "BOOT_TIMEOUT_S", 60)
    monkeypatch.setattr(remote, "_QUIET_S", 30)
    with pytest.raises(Unavailable, match="could not run ssh: "):
        await RemoteDriver(FAR).boot()


@pytest.mark.parametrize("methods", [{"Info": INFO}, {}], ids=["new", "before BuildKit 0.11"])
async def test_a_daemon_that_comes_late(
    log: Path, monkeypatch: pytest.MonkeyPatch, methods: dict[str, Handler]
) -> None:
    """Its command fails once. One that can't say its version has answered, too."""
    monkeypatch.setattr(remote, "BOOT_TIMEOUT_S", 60)
    address = log.parent / "daemon.sock"
    carrier = CARRIER.format(python=sys.executable, told=str(log), socket=str(address))
    second, refuses = log.parent / "second", REFUSES.format(log=log)
    second.write_text(carrier)
    second.chmod(0o755)
    program(log.parent, refuses.replace("exit 255", f"mv {second} {log.parent}/ssh\nexit 255"))
    server = Server()
    server.add_methods("moby.buildkit.v1.Control", methods)
    async with served(server, address):
        await RemoteDriver(FAR).boot()
    assert log.read_text().startswith("x\n-- far buildctl")


@pytest.mark.parametrize("named", ["argument", "environment"])
async def test_an_address_behind_a_command(
    log: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """It takes no builder to get there."""
    address, told = log.parent / "daemon.sock", log.parent / "told"
    program(log.parent, CARRIER.format(python=sys.executable, told=str(told), socket=str(address)))
    monkeypatch.delenv("CROZE_HOST", raising=False)
    if named == "environment":
        monkeypatch.setenv("BUILDKIT_HOST", "ssh://me@far:2222/x.sock")
    server = Server()
    server.add_methods("moby.buildkit.v1.Control", {"Info": INFO})
    async with served(server, address):
        (reach,) = reaches("" if named == "environment" else "ssh://me@far:2222/x.sock")
        async with reach.dial() as client:
            assert (await client.info()).version == "v1"
            assert not await client.beside_us()
    assert told.read_text() == ("-l me -p 2222 -- far buildctl --addr unix:///x.sock dial-stdio\n")


async def test_an_address_behind_a_command_that_fails(log: Path) -> None:
    (reach,) = reaches("ssh://far")
    with pytest.raises(CommandFailed, match="stderr=no such host"):
        async with reach.dial() as client:
            await client.workers()
    with pytest.raises(InvalidRequest, match="plain-text password is not supported"):
        reaches("ssh://me:secret@far")
