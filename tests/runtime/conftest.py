"""A root filesystem made on the spot from the machine's static busybox, and an executor on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from croze.fs.mount import enter_private_namespace
from croze.fs.userns import in_user_namespace
from croze.runtime.contract import ContainerMount, ContainerSpec, NetworkMode, Process, Stdio
from croze.runtime.oci import OciConfig, OciExecutor
from croze.store.contract import MountSpec

BUSYBOX = Path("/bin/busybox")
APPLETS = (
    "sh cat echo ls id sleep true false mkdir touch rm mount grep hostname kill stty tr head "
    "tail nc stat chmod"
)


@dataclass
class Output:
    """Collects what a process writes."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    def stdio(self) -> Stdio:
        return Stdio(self.stdout.extend, self.stderr.extend)


def make_rootfs(path: Path) -> Path:
    """A small system: busybox, users and groups."""
    for folder in ("bin", "etc", "tmp", "root", "home/app"):
        (path / folder).mkdir(parents=True)
    shutil.copy(BUSYBOX, path / "bin/busybox")
    for name in APPLETS.split():
        (path / "bin" / name).symlink_to("busybox")
    (path / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\napp:x:1001:1002:App:/home/app:/bin/sh\n"
    )
    (path / "etc/group").write_text("root:x:0:\napp:x:1002:\nextra:x:1003:app\nwheel:x:10:app\n")
    return path


@pytest.fixture(scope="session")
def own_mounts() -> bool:
    """As the daemon does it at start: what the tests mount is seen by nobody else."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    enter_private_namespace()
    return True


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not BUSYBOX.exists():
        pytest.skip("needs /bin/busybox (busybox-static)")
    return make_rootfs(tmp_path / "rootfs")


def runtimes() -> Sequence[str]:
    return [name for name in ("crun", "runc") if shutil.which(name, path="/usr/bin:/usr/sbin")]


@pytest.fixture(params=runtimes())
def executor(
    request: pytest.FixtureRequest, tmp_path: Path, own_mounts: bool
) -> Iterator[OciExecutor]:
    config = OciConfig(
        state_dir=tmp_path / "state",
        binary=request.param,
        private_mounts=own_mounts,
        rootless=in_user_namespace(),
    )
    yield OciExecutor(config)
    state = tmp_path / "state"
    parts = [state / name for name in ("bundle", "run", "pid")]
    leftovers = [p.relative_to(state) for part in parts for p in part.rglob("*")]
    # What crun 1.19 and later keep beside the containers is one for all of them.
    allowed = (".cache", ".empty-directory")
    assert [str(path) for path in leftovers if path.parts[1] not in allowed] == []


@pytest.fixture
def spec(rootfs: Path) -> Callable[..., ContainerSpec]:
    def make(
        *mounts: ContainerMount, network: NetworkMode = "host", **options: object
    ) -> ContainerSpec:
        root = [MountSpec("bind", str(rootfs))]
        return ContainerSpec(root=root, mounts=mounts, network=network, **options)  # type: ignore[arg-type]

    return make


def shell(
    script: str,
    *,
    env: Sequence[str] = ("PATH=/bin",),
    cwd: str = "/",
    user: str = "",
    tty: bool = False,
) -> Process:
    return Process(args=["/bin/sh", "-c", script], env=env, cwd=cwd, user=user, tty=tty)
