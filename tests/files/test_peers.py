"""Who is at the other end of a socket: processes in other places and of other users."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from croze.files.peers import is_own, is_own_or_roots, peer_of, sees_our_files

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root: becomes other users")

CONNECT = """\
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect({name!r})
{then}
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def caller(folder: Path, *prefix: str, then: str = "") -> Iterator[socket.socket]:
    """Our end of a connection that a process under `prefix` has made."""
    folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        # Abstract, so that it can be reached from every root.
        name = f"\0croze-test-{os.getpid()}"
        listener.bind(name)
        listener.listen()
        code = CONNECT.format(name=name, then=then)
        words = [*prefix, sys.executable, "-c", code]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            sock, _ = listener.accept()
            with sock:
                yield sock
            process.kill()


def test_our_own(tmp_path: Path) -> None:
    with caller(tmp_path) as sock:
        assert peer_of(sock).pid > 0
        assert is_own(sock)
        assert is_own_or_roots(sock)
        assert sees_our_files(sock)


def test_another_users(tmp_path: Path) -> None:
    with caller(tmp_path, "setpriv", "--reuid=4321", "--clear-groups") as sock:
        assert peer_of(sock).uid == 4321
        assert not is_own(sock)
        assert not is_own_or_roots(sock)
        assert not sees_our_files(sock)


def test_another_mount_namespace(tmp_path: Path) -> None:
    with caller(tmp_path, "unshare", "--mount") as sock:
        assert is_own(sock)
        assert not sees_our_files(sock)


def test_another_root(tmp_path: Path) -> None:
    with caller(tmp_path, then=f"import os; os.chroot({str(tmp_path)!r})") as sock:
        assert is_own(sock)
        assert not sees_our_files(sock)


def test_one_that_has_gone(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert sees_our_files(ours)  # this very process
    with caller(tmp_path) as sock:
        pid = peer_of(sock).pid
        os.kill(pid, 9)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert not sees_our_files(sock)
