"""Connections that another process makes for the daemon, whose containers it watches over."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from croze.aio.streams import readable
from croze.daemon.host.helper import HostHelper
from croze.runtime.host_helper import CONNECT, CONNECTED, FAILED, LARGEST_BYTES, init_pid
from croze.session.packets import fresh_name
from tests.runtime.conftest import BUSYBOX, make_rootfs, runtimes
from tests.store.conftest import root_only
from tests.support.waiting import PATIENCE_S

PRIVATE_KB = 4096
"""It would be three times as much with the daemon's modules."""


@pytest.fixture
def other() -> Iterator[tuple[HostHelper, socket.socket]]:
    """The daemon's end, and the process's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.setblocking(False)
        yield HostHelper(ours), theirs


async def answer(orders: socket.socket) -> bytes:
    """Hand over a socket on which the name stands that was asked for."""
    await readable(orders)
    order = orders.recv(LARGEST_BYTES)
    assert order[:1] == CONNECT
    name = order[1:]
    mine, handed = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with mine, handed:
        mine.send(name)
        socket.send_fds(orders, [CONNECTED], [handed.fileno()])
    return name


async def test_each_gets_what_it_asked_for(other: tuple[HostHelper, socket.socket]) -> None:
    helper, orders = other
    async with asyncio.TaskGroup() as group:
        dials = {name: group.create_task(helper.dial(name)) for name in ("a", "b", "c")}
        for _ in dials:
            await answer(orders)
    for name, dial in dials.items():
        with dial.result() as sock:
            assert sock.recv(10) == name.encode()
            assert not os.get_inheritable(sock.fileno())


async def test_who_gives_up_takes_its_answer_along(other: tuple[HostHelper, socket.socket]) -> None:
    helper, orders = other
    async with asyncio.TaskGroup() as group:
        first = group.create_task(helper.dial("first"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        second = group.create_task(helper.dial("second"))
        assert await answer(orders) == b"first"
        assert await answer(orders) == b"second"
    assert first.cancelled()
    with second.result() as sock:
        assert sock.recv(10) == b"second"


async def test_what_can_not_be_reached(other: tuple[HostHelper, socket.socket]) -> None:
    helper, orders = other
    orders.send(FAILED)
    with pytest.raises(ConnectionRefusedError, match="could not connect to nobody"):
        await helper.dial("nobody")


def test_a_helper_that_has_died_keeps_no_containers_from_running(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    helper = HostHelper(ours)
    helper.watch(tmp_path)
    helper.close()
    assert "containers may outlive this daemon" in caplog.text


async def test_the_process_itself() -> None:
    """It connects, says what it can't reach, is in nobody's way at a terminal, and small."""
    helper = HostHelper.start()
    name = fresh_name()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(f"\0{name}")
            listener.listen()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(helper.pid, number)
            with await helper.dial(name) as sock, listener.accept()[0] as peer:
                sock.send(b"here")
                assert peer.recv(10) == b"here"
            fields = Path(f"/proc/{helper.pid}/smaps_rollup").read_text().split()
            assert int(fields[fields.index("Pss_Anon:") + 1]) < PRIVATE_KB
        with pytest.raises(ConnectionRefusedError, match="could not connect"):
            await helper.dial(name)
    finally:
        helper.close()
    helper.close()
    with pytest.raises(ProcessLookupError):
        os.kill(helper.pid, 0)


def test_it_ends_with_the_daemon() -> None:
    """Which watched over no containers yet."""
    started = "from croze.daemon.host.helper import HostHelper; print(HostHelper.start().pid)"
    done = subprocess.run([sys.executable, "-c", started], capture_output=True, check=True)
    with suppress(ProcessLookupError):
        process = os.pidfd_open(int(done.stdout))
        try:
            assert select.select([process], [], [], 10)[0], "it is still there"
        finally:
            os.close(process)


DAEMON = """
import asyncio, sys
from pathlib import Path
from croze.daemon.host.helper import HostHelper
from croze.runtime.contract import ContainerSpec, Process, Stdio
from croze.runtime.oci import OciConfig, OciExecutor
from croze.store.contract import MountSpec
from croze.fs.mount import enter_private_namespace

helper = HostHelper.start()
enter_private_namespace()
state, rootfs = Path(sys.argv[1]), sys.argv[2]
executor = OciExecutor(OciConfig(state, private_mounts=True))
spec = ContainerSpec(root=[MountSpec("bind", rootfs)], network="host")
say = lambda data: print(data.decode(), end="", flush=True)
process = Process(args=["/bin/sh", "-c", "echo up; sleep 1000"], env=["PATH=/bin"])

async def run():
    helper.watch(executor.pids)
    await executor.run(spec, process, Stdio(say, say), id="victim")

asyncio.run(run())
"""


@pytest.mark.root
@root_only
@pytest.mark.skipif(not runtimes(), reason="needs crun or runc")
@pytest.mark.skipif(not BUSYBOX.exists(), reason="needs /bin/busybox (busybox-static)")
def test_containers_die_with_the_daemon(tmp_path: Path) -> None:
    state, rootfs = tmp_path / "state", make_rootfs(tmp_path / "rootfs")
    argv = [sys.executable, "-c", DAEMON, str(state), str(rootfs)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"up\n"
        file = state / "pid/victim"
        while not init_pid(str(file)):  # written a moment after the process runs
            time.sleep(0.01)
        daemon.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while init_pid(str(file)):
        assert time.monotonic() < deadline, "the container is still there"
        time.sleep(0.01)
