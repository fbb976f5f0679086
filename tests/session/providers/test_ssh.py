"""The agent that holds a user's keys ends with the client that started it, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import command_line
from tests.support.waiting import eventually

_CLIENT = """
import asyncio, sys
from croze.session.providers.ssh import AgentSource, SshProvider
provider = SshProvider([AgentSource("default", (sys.argv[1],))])
print(asyncio.run(provider._agents["default"].socket()), flush=True)
sys.stdin.readline()
provider.close()
"""


def agents(path: str) -> list[str]:
    """The processes that serve at a path."""
    lines = [command_line(int(p.name)) for p in Path("/proc").glob("[0-9]*")]
    return [line for line in lines if path in line]


@pytest.mark.parametrize("number", [0, signal.SIGKILL])
def test_an_agent_for_key_files(tmp_path: Path, number: int) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with subprocess.Popen(
        [sys.executable, "-c", _CLIENT, key], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as client:
        assert client.stdout is not None
        path = client.stdout.readline().decode().strip()
        listed = subprocess.run(
            ["ssh-add", "-l"],
            env={"SSH_AUTH_SOCK": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "ED25519" in listed.stdout
        assert agents(path)
        if number:
            client.send_signal(number)
        else:
            client.communicate(b"\n")
            assert not agents(path)
            assert not Path(path).parent.exists()
    eventually(lambda: not agents(path))
