"""Directories are lent by descriptor to a daemon that sees the client's files, and sent to others.

What tells them apart from outside: a lent directory counts its files' bytes, a sent one all that
was sent."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.sandbox import CROZE, Sandbox, execute

CONTENT = "x" * 1234


@contextlib.contextmanager
def sandbox_under(folder: Path, prefix: Sequence[str]) -> Iterator[Sandbox]:
    """A daemon that runs under `prefix`, with clients that don't."""
    made = Sandbox(folder, prefix=tuple(prefix))
    with made.running():
        made.prefix = ()
        yield made


def build(sandbox: Sandbox, *prefix: str) -> str:
    """How much was transferred; the right content arrives in any case, and comes back."""
    files = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": CONTENT}
    context, out = sandbox.context("c", files), sandbox.path / "out"
    words = [*prefix, str(CROZE), "build", "--progress=plain", "-o", str(out), str(context)]
    done = execute(words, sandbox.env)
    assert (out / "a").read_text() == CONTENT
    found = re.findall(r"transferring context: (\S+?)B? (?:\S+ )?done", done.output)
    return str(found[-1])


LENT = "1.23k"


def test_a_client_in_our_mount_namespace_lends_by_handle(sandbox: Sandbox) -> None:
    assert build(sandbox) == LENT


@pytest.mark.parametrize(
    "prefix", [["unshare", "--mount"], ["unshare", "--mount", "--pid", "--fork", "--mount-proc"]]
)
def test_a_client_elsewhere(sandbox: Sandbox, prefix: list[str]) -> None:
    assert build(sandbox, *prefix) != LENT


def test_a_daemon_elsewhere(tmp_path: Path) -> None:
    """It is root here, on the same network, and in a mount namespace that may be a container's."""
    with sandbox_under(tmp_path, ["unshare", "--mount"]) as sandbox:
        assert build(sandbox) != LENT
        assert build(sandbox, "unshare", "--mount") != LENT


def test_a_daemon_that_has_lost_its_helper(sandbox: Sandbox) -> None:
    """Killed for want of memory, say: directories are sent."""
    pid = int((sandbox.root / "crozed.pid").read_text())
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    execute(["kill", "-KILL", children[0]], sandbox.env)
    assert build(sandbox) != LENT
