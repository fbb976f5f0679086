"""Disks that are full at any moment, or can't be written: one clear error, and no harm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.disks import leave
from tests.e2e.sandbox import Sandbox
from tests.support.waiting import PATIENCE_S

SIZE = 32 << 20
DOCKERFILE = """\
FROM base
COPY data /data
RUN --mount=type=cache,target=/c cp /data /c/{n} && cat /data /data > /twice
RUN echo {n} > /n
"""


@pytest.fixture
def small(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The root is a small disk of its own."""
    sandbox.stop()
    sandbox.root.rename(sandbox.path / "old-root")
    sandbox.root.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs"]
    subprocess.run(["mount", *options, sandbox.root], check=True)
    try:
        sandbox.start()
        yield sandbox
    finally:
        if sandbox.daemon is not None:
            sandbox.stop()
        subprocess.run(["umount", sandbox.root], check=True)


def errors_of(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("ERROR:")]


def test_full_at_many_moments(small: Sandbox, busybox: Path) -> None:
    context = small.context("app", {"data": os.urandom(512 << 10)})
    failed = 0
    for number, free_kb in enumerate((0, 600, 1400, 3000, 14000)):
        (context / "Dockerfile").write_text(DOCKERFILE.format(n=number))
        small.croze("prune", "--all", "--force")
        leave(small.root, free_kb << 10)
        output = f"--output=type=oci,dest={small.path}/image.tar"
        words: tuple[str | Path, ...] = ("build", "--no-cache", *base(busybox), output, context)
        done = small.croze(*words, check=False)
        if done.code:
            failed += 1
            assert len(errors_of(done.stderr)) == 1, done.stderr
            assert "no space left on device" in done.stderr.lower(), done.stderr
            assert "Traceback" not in done.stderr
        (small.root / "filler").unlink()
        assert "0 problems" in small.croze("debug", "verify").stdout, free_kb
        small.croze(*words)
        assert "0 problems" in small.croze("debug", "verify").stdout, free_kb
    assert 2 <= failed <= 4


def remount(root: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", root], check=True)


def test_blobs_can_not_be_written(sandbox: Sandbox, busybox: Path) -> None:
    context = sandbox.context("app", {"Dockerfile": DOCKERFILE.format(n=1), "data": "x"})
    assert sandbox.daemon is not None
    # The daemon's mounts are its own: what it sees is changed from inside.
    inside = ["nsenter", "-t", str(sandbox.daemon.pid), "-m"]
    folder = sandbox.root / "ingest"
    subprocess.run([*inside, "mount", "--bind", folder, folder], check=True)
    subprocess.run([*inside, "mount", "-o", "remount,bind,ro", folder], check=True)
    done = sandbox.croze("build", *base(busybox), context, check=False)
    assert done.code != 0
    assert len(errors_of(done.stderr)) == 1, done.stderr
    assert "read-only file system" in done.stderr.lower()
    subprocess.run([*inside, "umount", folder], check=True)
    sandbox.croze("build", *base(busybox), context)
    assert "0 problems" in sandbox.croze("debug", "verify").stdout


def test_a_daemon_does_not_start_on_a_read_only_root(small: Sandbox) -> None:
    small.stop()
    remount(small.root, "ro")
    command = [*small.python, "-m", "croze.daemon", "--addr", small.address]
    done = subprocess.run(
        [*command, "--root", str(small.root)],
        env=small.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    remount(small.root, "rw")
    assert done.returncode == 1
    assert "read-only file system" in done.stderr.lower()
    assert "Traceback" not in done.stderr
    small.start()


OUTPUTS = ("type=local,dest={}/out", "type=tar,dest={}/x", "type=oci,dest={}/x")
LAYOUTS = ("--output=type=oci,tar=false,dest={}/out", "--cache-to=type=local,dest={}/out")


@pytest.mark.parametrize("words", [*(f"--output={text}" for text in OUTPUTS), *LAYOUTS])
def test_a_full_disk_of_the_clients(sandbox: Sandbox, words: str) -> None:
    """The error says where it is; nothing is left of a file."""
    disk = sandbox.path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        context = sandbox.context("large", {"Dockerfile": "FROM scratch\nCOPY data /\n"})
        (context / "data").write_bytes(os.urandom(2 << 20))
        done = sandbox.croze("build", words.format(disk), context, check=False)
        assert done.code != 0
        (error,) = errors_of(done.stderr)
        assert f" {disk}" in error, error
        assert error.lower().endswith("no space left on device")
        assert [path.name for path in disk.iterdir()] in ([], ["out"])
    finally:
        subprocess.run(["umount", disk], check=True)
