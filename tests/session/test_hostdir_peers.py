"""Who is lent a directory by descriptor: not whoever knows the token."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from croze.session import hostdir, visit

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root: becomes other users")

ASK = """\
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
sock.connect("\\0" + sys.argv[1])
{then}
try:
    sock.send(bytes.fromhex(sys.argv[2]) + b"dcontext")
    answer, fds, _, _ = socket.recv_fds(sock, 1, 1)
except OSError:
    answer, fds = b"", []
print(answer, [sorted(os.listdir(f"/proc/self/fd/{{fd}}")) for fd in fds])
"""


async def ask(context: Path, *prefix: str, then: str = "") -> str:
    """What a process under `prefix` is told that has the token."""
    with hostdir.HostDirProvider({"context": context}).announced() as headers:
        words = [*prefix, sys.executable, "-c", ASK.format(then=then)]
        process = await asyncio.create_subprocess_exec(
            *words, *headers[visit.HEADER].split(" "), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode().strip()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "c").mkdir()
    (tmp_path / "c/a").write_text("")
    return tmp_path / "c"


async def test_a_process_beside_us(context: Path) -> None:
    assert await ask(context) == "b'y' [['a']]"


@pytest.mark.parametrize(
    "prefix",
    [
        ["unshare", "--mount"],
        ["unshare", "--user", "--map-root-user", "--mount"],
        ["setpriv", "--reuid=4321", "--clear-groups"],
    ],
)
async def test_a_process_elsewhere(context: Path, prefix: list[str]) -> None:
    assert await ask(context, *prefix) == "b'' []"
