"""The client's ssh agent, lent."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze import errors
from croze.session import ssh
from croze.session.providers.ssh import AgentSource, SshProvider
from tests.session.conftest import Lend


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """An agent that answers any request with its own bytes, once per connection."""
    path = tmp_path / "agent.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(4)

    def run() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                while data := sock.recv(4096):
                    sock.sendall(data)

    thread = threading.Thread(target=run)
    thread.start()
    yield path
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def frame(kind: int, body: bytes = b"") -> bytes:
    return (len(body) + 1).to_bytes(4, "big") + bytes([kind]) + body


async def ask_agent(path: Path, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    answer = await reader.readexactly(4)
    answer += await reader.readexactly(int.from_bytes(answer, "big"))
    writer.close()
    await writer.wait_closed()
    return answer


async def test_the_agent_answers_through_the_session(lending: Lend, agent: Path) -> None:
    async with lending([SshProvider([AgentSource("default", (str(agent),))])]) as session:
        await ssh.check(session)
        with pytest.raises(errors.CrozeError, match="unset ssh forward key other"):
            await ssh.check(session, "other")
        async with ssh.agent_socket(session, uid=5, gid=6, mode=0o660) as path:
            assert path.stat().st_uid == 5
            assert path.stat().st_mode & 0o777 == 0o660
            assert await ask_agent(path, frame(11)) == frame(11)
            assert await ask_agent(path, frame(13, b"sign")) == frame(13, b"sign")
            # adding a key is refused by the client, without asking the agent
            assert await ask_agent(path, frame(17, b"key")) == frame(5)
        assert not path.parent.exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none", "stat {}: no such file or directory"),
        ("folder", "failed to read {}: read {}: is a directory"),
        ("text", "failed to parse {}: ssh: no key found"),
    ],
)
def test_what_is_no_key_is_said_before_the_build(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no key")
    path = str(tmp_path / name)
    with pytest.raises(errors.InvalidRequest) as raised:
        SshProvider([AgentSource("k", (path,))])
    reason = reason.format(path, path)
    assert str(raised.value) == (
        f"failed to convert agent config {{k [{path}] false}}: "
        f'failed to convert agent config for ID: "k": {reason}'
    )


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["agent.sock", "none"], "only single socket allowed"),
        (["agent.sock", "agent.sock"], "only single socket allowed"),
        (["key", "agent.sock"], "invalid combination of keys and sockets"),
        (["agent.sock", "key"], "only single socket allowed"),
        (["none", "agent.sock"], "none: no such file or directory"),
    ],
)
def test_paths_are_looked_at_in_turn(agent: Path, names: list[str], reason: str) -> None:
    (agent.parent / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    paths = tuple(str(agent.parent / name) for name in names)
    with pytest.raises(errors.InvalidRequest, match=f"{reason}$"):
        SshProvider([AgentSource("k", paths)])
