"""Steps of other architectures, where BuildKit's emulators are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze import llb
from croze.image.platform import parse
from croze.ops.emulator import find_emulator
from tests.ops.world import World

EMULATOR = '#!/bin/sh\necho "emulated by $0"\nexec "$@"\n'


@pytest.fixture
def emulators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with an emulator of s390x, and one of arm64."""
    folder = tmp_path / "emulators"
    folder.mkdir()
    for name in ("s390x", "aarch64"):
        file = folder / f"buildkit-qemu-{name}"
        file.write_text(EMULATOR)
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin:/usr/sbin")
    return folder


def test_which_emulator(emulators: Path) -> None:
    here = [parse("linux/amd64")]
    assert find_emulator(parse("linux/arm64"), here) == str(emulators / "buildkit-qemu-aarch64")
    assert find_emulator(parse("linux/386"), here) == ""
    assert find_emulator(parse("linux/riscv64"), here) == ""
    assert find_emulator(parse("linux/arm64"), [*here, parse("linux/arm64")]) == ""


@pytest.mark.root
async def test_a_step_is_emulated(world: World, emulators: Path) -> None:
    step = llb.source("tree://busybox", {}).run(
        ["/bin/sh", "-c", "echo > /made"], platform=parse("linux/s390x")
    )
    files = await world.files(step.root)
    assert world.output() == "emulated by /dev/.buildkit_qemu_emulator\n"
    assert "made" in files
    assert not [name for name in files if name.startswith("dev/")]
