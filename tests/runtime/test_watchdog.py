"""The daemon is killed; its containers must not outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from croze.runtime.sweep import init_pid
from croze.runtime.watchdog import Watchdog
from tests.runtime.conftest import runtimes

DAEMON = """
import asyncio, sys
from pathlib import Path
from croze.runtime.contract import ContainerSpec, Process, Stdio
from croze.runtime.oci import OciConfig, OciExecutor
from croze.runtime.watchdog import Watchdog
from croze.store.contract import MountSpec
from croze.store.mount import enter_private_namespace

enter_private_namespace()
state, rootfs = Path(sys.argv[1]), sys.argv[2]
executor = OciExecutor(OciConfig(state, private_mounts=True))
watchdog = Watchdog(executor.pids)
spec = ContainerSpec(root=[MountSpec("bind", rootfs)], network="host")
say = lambda data: print(data.decode(), end="", flush=True)
process = Process(args=["/bin/sh", "-c", "echo up; sleep 1000"], env=["PATH=/bin"])
asyncio.run(executor.run(spec, process, Stdio(say, say), id="victim"))
"""


@pytest.mark.root
@pytest.mark.skipif(not runtimes(), reason="needs crun or runc")
def test_containers_die_with_the_daemon(tmp_path: Path, rootfs: Path) -> None:
    state = tmp_path / "state"
    argv = [sys.executable, "-c", DAEMON, str(state), str(rootfs)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"up\n"
        file = state / "pid/victim"
        while not init_pid(file):  # written a moment after the process runs
            time.sleep(0.01)
        daemon.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while init_pid(file):
        assert time.monotonic() < deadline, "the container is still there"
        time.sleep(0.01)


def test_an_orderly_end(tmp_path: Path) -> None:
    watchdog = Watchdog(tmp_path)
    watchdog.close()
    watchdog.close()
    with pytest.raises(ProcessLookupError):
        os.kill(watchdog.pid, 0)
