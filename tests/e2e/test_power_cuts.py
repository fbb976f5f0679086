"""A machine that loses its power: what the disk had then, and nothing that it had not, is used."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox

DOCKERFILE = "FROM base\nRUN for i in 1 2 3 4; do echo content $i > /f$i; done\n"
BOOT_ID = "/proc/sys/kernel/random/boot_id"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, mounted; what it holds is what a file system has given to it."""
    image = tmp_path / "disk"
    with open(image, "wb") as file:
        file.truncate(400 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    box = tmp_path / "box"
    box.mkdir()
    subprocess.run(["mount", "-o", "loop", image, box], check=True)
    yield image
    subprocess.run(["umount", box], check=True)


def booted(tmp_path: Path, id: str) -> Sandbox:
    """A daemon with its root on the disk, on a machine that was booted so."""
    boot_id = tmp_path / "boot_id"
    boot_id.write_text(id)
    (tmp_path / "stat").write_text(
        re.sub(
            r"(?m)^btime .*",
            f"btime {int(boot_id.stat().st_mtime)}",
            Path("/proc/stat").read_text(),
        )
    )
    made = Sandbox(tmp_path / "box/sandbox")
    script = f"mount --bind {boot_id} {BOOT_ID}; "
    script += f'mount --bind {tmp_path}/stat /proc/stat; exec "$@"'
    made.prefix = ("unshare", "-m", "sh", "-c", script, "sh")
    return made


@pytest.mark.parametrize("is_stopped", [False, True])
def test_files_that_the_disk_had_not_are_made_again(
    disk: Path, tmp_path: Path, busybox: Path, is_stopped: bool
) -> None:
    """The rows are on the disk when a build is answered; what its steps wrote is not yet, nor is it
    when the daemon has stopped."""
    first, out = booted(tmp_path, "first"), tmp_path / "out"
    with first.running():
        context = first.context("c", {"Dockerfile": DOCKERFILE})
        words: list[str | Path] = ["build", *base(busybox), "-o", f"type=local,dest={out}", context]
        first.croze(*words)
        if not is_stopped:
            subprocess.run(["cp", "--sparse=always", disk, tmp_path / "cut"], check=True)
    if is_stopped:
        subprocess.run(["cp", "--sparse=always", disk, tmp_path / "cut"], check=True)
    subprocess.run(["umount", tmp_path / "box"], check=True)
    subprocess.run(["mount", "-o", "loop", tmp_path / "cut", tmp_path / "box"], check=True)
    (out / "f1").unlink()
    second = booted(tmp_path, "second")
    with second.running():
        second.context("c", {"Dockerfile": DOCKERFILE})
        second.croze(*words)
        assert "0 problems" in second.croze("debug", "verify").stdout
    for number in range(1, 5):
        assert (out / f"f{number}").read_text() == f"content {number}\n"
