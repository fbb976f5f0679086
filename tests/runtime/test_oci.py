"""Containers for real, on every OCI runtime that the machine has."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import os
import resource
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.aio.threads import in_thread
from croze.fs import mount as fs_mount
from croze.runtime import sweep
from croze.runtime.cgroup_parent import CgroupParent
from croze.runtime.contract import ContainerMount, ContainerSpec, Resources, Rlimit
from croze.runtime.errors import OutOfMemory, StartError
from croze.runtime.mounts import OciBundle
from croze.runtime.oci import OciExecutor
from croze.store import mount as store_mount
from croze.store.contract import MountSpec
from tests.conformance.executors import MakeSpec, output_of
from tests.runtime.conftest import Output, shell

pytestmark = pytest.mark.root
CANCELLATIONS = int(os.environ.get("CROZE_TEST_CANCELLATIONS", "60"))


async def test_sandbox_and_insecure(executor: OciExecutor, spec: MakeSpec) -> None:
    script = (
        "mount -t tmpfs x /tmp 2>/dev/null && echo yes || echo no; grep Seccomp: /proc/self/status"
    )
    assert (await output_of(executor, spec(), script)).split() == ["no", "Seccomp:", "2"]
    assert (await output_of(executor, spec(insecure=True), script)).split() == [
        "yes",
        "Seccomp:",
        "0",
    ]


async def test_a_machines_null_device_stays_its_own(
    executor: OciExecutor, spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """crun gives the streams of a process to its user. The device here stands in for the real one,
    which is everybody's. runc has a pipe between."""
    device = tmp_path / "null"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    monkeypatch.setattr(os, "devnull", str(device))
    looks = "read x; echo end; stat -L -c %t:%T:%a /proc/self/fd/0; chmod 0 /proc/self/fd/0 2>&-"
    seen = Output()
    async with executor.start(spec(), shell("sleep 60", user="app"), Output().stdio()) as container:
        for tty in (False, True):
            await container.exec(shell("true", user="app", tty=tty), Output().stdio())
        # What the one does to its own, if a runtime has let it have it, is no other's.
        for _ in range(2):
            await container.exec(shell(looks, user="app"), seen.stdio())
    assert (device.stat().st_uid, device.stat().st_gid) == (0, 0)
    assert bytes(seen.stderr) == b""
    if executor.program.is_crun:
        assert seen.stdout.decode() == "end\n1:3:666\n" * 2


async def test_limits_are_lowered_not_refused(executor: OciExecutor, spec: MakeSpec) -> None:
    wanted = spec(ulimits=[Rlimit("nofile", 1 << 20, 1 << 30), Rlimit("nproc", 77, 77)])
    processes, files = (await output_of(executor, wanted, "ulimit -u; ulimit -n")).split()
    assert processes == "77"
    assert int(files) == min(1 << 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


async def test_out_of_memory_is_told(executor: OciExecutor, spec: MakeSpec) -> None:
    wanted = spec(resources=Resources(memory=16 << 20))
    with pytest.raises(OutOfMemory, match="memory limit of 16777216 bytes"):
        await output_of(executor, wanted, "exec head -c 60000000 /dev/zero > /dev/shm/x")


@pytest.mark.parametrize("parent", ["", "/croze-test"])
async def test_no_cgroup_is_left_of_one_that_does_not_start(
    executor: OciExecutor, spec: MakeSpec, parent: str
) -> None:
    """Runtimes leave what they had made of it by then."""
    wanted = spec(
        resources=Resources(cpuset_cpus="100000"), cgroup_parent=CgroupParent.parse(parent)
    )
    async with executor.start(wanted, shell("true"), Output().stdio(), id="unstarted") as container:
        with pytest.raises(StartError):
            await container.wait()
    depths = ("*/" * depth for depth in range(5))
    remains = [path for depth in depths for path in sweep.CGROUP_ROOT.glob(f"{depth}unstarted")]
    sweep.remove_cgroup("/croze-test")
    assert not remains


async def test_nothing_leaks_over_many(executor: OciExecutor, spec: MakeSpec) -> None:
    rounds = int(os.environ.get("CROZE_TEST_CONTAINERS", "20"))
    await output_of(executor, spec(), "true")
    before, mounted = descriptors(), mounts(executor)
    for _ in range(rounds):
        await output_of(executor, spec(), "true")
    assert descriptors() <= before
    assert mounts(executor) == mounted


def descriptors() -> int:
    gc.collect()  # what earlier tests have left to it
    return len(os.listdir("/proc/self/fd"))


def mounts(executor: OciExecutor) -> int:
    """Beside the executor's state: others on the machine have mounts, too."""
    place = str(executor.config.state_dir.parent)
    return sum(place in line for line in Path("/proc/self/mountinfo").read_text().splitlines())


async def test_sweep_removes_what_a_killed_daemon_left(
    executor: OciExecutor, spec: MakeSpec, rootfs: Path
) -> None:
    import json
    import subprocess

    from croze.fs.owner import ExecUser
    from croze.runtime import oci_spec

    bundle = executor.config.state_dir / "bundle/left"
    bundle.mkdir()
    placement = oci_spec.Placement(
        id="left", rootfs=str(rootfs), user=ExecUser(), cgroup="/buildkit/left"
    )
    config = oci_spec.config_json(spec(), shell("sleep 1000"), placement, executor.host)
    (bundle / "config.json").write_text(json.dumps(config))
    argv = executor.program.command(bundle / "log", "run", "--bundle", str(bundle))
    argv += ["--detach", "--pid-file", str(executor.pids / "left"), "left"]
    quiet = subprocess.DEVNULL
    run = functools.partial(subprocess.run, argv, check=True, stdin=quiet, stdout=quiet)
    await in_thread(run, close_fds=False)
    pid = int((executor.pids / "left").read_text())
    await executor.sweep()
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    assert not bundle.exists()


@pytest.fixture
def bound(spec: MakeSpec, tmp_path: Path) -> Iterator[ContainerSpec]:
    """A container with eight parts of a tree bound into it, which must be whole afterwards."""
    tree = tmp_path / "tree"
    for number in range(8):
        (tree / f"d{number}/sub").mkdir(parents=True)
        for name in range(20):
            (tree / f"d{number}/sub/f{name}").touch()
    before = sorted(tree.rglob("*"))
    source = [MountSpec("bind", str(tree), ("rbind", "ro"))]
    mounts = [
        ContainerMount(f"/m{n}", source, selector=f"/d{n}", readonly=n % 2 == 0) for n in range(8)
    ]
    yield spec(*mounts)
    assert sorted(tree.rglob("*")) == before, "files of a mounted tree are gone"


async def test_two_cancellations_leave_nothing(executor: OciExecutor, bound: ContainerSpec) -> None:
    before = mounts(executor)
    for step in range(CANCELLATIONS):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(executor.run(bound, shell("sleep 1000"), Output().stdio()))
            await asyncio.sleep(step * 0.012 / CANCELLATIONS)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()
        assert mounts(executor) == before


async def test_preparing_ends_before_the_cancellation_goes_on(
    executor: OciExecutor, bound: ContainerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled in the midst of each mount, the task does not end before the mount is made."""
    real, loop = store_mount.mount, asyncio.get_running_loop()
    for instant in range(len(bound.mounts)):
        ended, made = threading.Event(), itertools.count()
        overtaken: list[bool] = []

        def mount(entry: MountSpec, target: Path) -> None:
            if next(made) == instant:  # noqa: B023 - all is over when the loop goes on
                loop.call_soon_threadsafe(task.cancel)  # noqa: B023
                overtaken.append(ended.wait(0.03))  # noqa: B023
            real(entry, target)

        monkeypatch.setattr(store_mount, "mount", mount)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(executor.run(bound, shell("sleep 1000"), Output().stdio()))
            task.add_done_callback(lambda _: ended.set())  # noqa: B023
            await asyncio.wait([task])
        assert task.cancelled()
        assert overtaken == [False]
        assert not list((executor.config.state_dir / "bundle").iterdir())


def test_a_bundle_is_not_removed_through_a_mount(own_mounts: bool, tmp_path: Path) -> None:
    """Whatever is still mounted there: what it holds is not the bundle's."""
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/file").touch()
    bundle = OciBundle(tmp_path / "bundle")
    point = bundle.path / "m/0"
    point.mkdir(parents=True)
    (bundle.path / "config.json").touch()
    fs_mount.raw_mount(str(tmp_path / "tree"), point, "", fs_mount.MS_BIND)
    bundle.close()
    assert (tmp_path / "tree/sub/file").exists()
    assert [p.name for p in bundle.path.rglob("*")] == ["m", "0", "sub", "file"]
    fs_mount.unmount(point)
    bundle.close()
    assert not bundle.path.exists()


def test_what_is_only_read_is_bound_so(own_mounts: bool, tmp_path: Path) -> None:
    """Not even the daemon can write through a bundle's mounts to what is read-only."""
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/file").touch()
    bundle = OciBundle(tmp_path / "bundle")
    source = [MountSpec("bind", str(tmp_path / "tree"), ("rbind", "ro"))]
    for selector in ("/sub", "/file"):
        (made,) = bundle.add(ContainerMount("/x", source, selector=selector, readonly=True))
        with pytest.raises(OSError, match="Read-only file system"):
            os.utime(made.source)
    bundle.close()


async def test_out_of_memory_is_told_from_being_killed(
    executor: OciExecutor, spec: MakeSpec
) -> None:
    small = spec(resources=Resources(memory=16 << 20, memory_swap=16 << 20))
    # What tail keeps of a line without an end grows until the kernel has enough.
    hungry = shell("exec tail -n 1 /dev/zero")
    with pytest.raises(OutOfMemory, match="memory limit of 16777216 bytes reached"):
        await executor.run(small, hungry, Output().stdio())
    assert await executor.run(small, shell("sh -c 'kill -9 $$'; exit $?"), Output().stdio()) == 137
