"""Containers for real, on every OCI runtime that the machine has."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from croze.aio.threads import in_thread
from croze.errors import InvalidRequest, NotFound, ResourceExhausted
from croze.runtime.contract import ContainerMount, ContainerSpec, Resources, Rlimit, Stdio
from croze.runtime.errors import StartError
from croze.runtime.mounts import Bundle
from croze.runtime.oci import OciExecutor
from croze.store import mount as store_mount
from croze.store.contract import Mount
from tests.runtime.conftest import Output, shell

pytestmark = pytest.mark.root
MakeSpec = Callable[..., ContainerSpec]
CANCELLATIONS = int(os.environ.get("CROZE_TEST_CANCELLATIONS", "60"))


async def output(
    executor: OciExecutor, spec: ContainerSpec, script: str, *, user: str = "", cwd: str = "/"
) -> str:
    out = Output()
    code = await executor.run(spec, shell(script, user=user, cwd=cwd), out.stdio())
    assert (code, out.stderr.decode()) == (0, "")
    return out.stdout.decode()


async def test_output_and_exit_code(executor: OciExecutor, spec: MakeSpec) -> None:
    out = Output()
    code = await executor.run(spec(), shell("echo out; echo err >&2; exit 3"), out.stdio())
    assert (code, bytes(out.stdout), bytes(out.stderr)) == (3, b"out\n", b"err\n")


async def test_all_output_comes_before_the_end(executor: OciExecutor, spec: MakeSpec) -> None:
    text = await output(
        executor, spec(), "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
    )
    assert text.splitlines()[-1] == "line 19999"


async def test_a_signal_is_128_and_more(executor: OciExecutor, spec: MakeSpec) -> None:
    async with executor.start(spec(), shell("sleep 60"), Output().stdio()) as container:
        await container.kill(signal.SIGKILL)
        assert await container.wait() == 128 + signal.SIGKILL


async def test_stdin_and_environment(executor: OciExecutor, spec: MakeSpec) -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b"one\n"
        yield b"two\n"

    out = Output()
    stdio = Stdio(out.stdout.extend, out.stderr.extend, stdin=lines())
    process = shell("cat; echo $X", env=["PATH=/bin", "X=1"])
    assert await executor.run(spec(), process, stdio) == 0
    assert bytes(out.stdout) == b"one\ntwo\n1\n"


async def test_a_terminal(executor: OciExecutor, spec: MakeSpec) -> None:
    out = Output()
    code = await executor.run(spec(), shell("[ -t 1 ] && echo tty; exit 4", tty=True), out.stdio())
    assert (code, bytes(out.stdout)) == (4, b"tty\r\n")


async def test_the_user_comes_from_the_container(executor: OciExecutor, spec: MakeSpec) -> None:
    text = await output(executor, spec(), "id", user="app")
    assert text.startswith("uid=1001(app) gid=1002(app) groups=10(wheel),1002(app),1003(extra)")
    with pytest.raises(
        InvalidRequest, match="unable to find user nobody: no matching entries in passwd file"
    ):
        await executor.run(spec(), shell("id", user="nobody"), Output().stdio())


async def test_working_directory_is_made(
    executor: OciExecutor, spec: MakeSpec, rootfs: Path
) -> None:
    assert await output(executor, spec(), "pwd", cwd="/a/b", user="1001:1002") == "/a/b\n"
    assert (rootfs / "a/b").stat().st_uid == 1001


async def test_hosts_and_name(executor: OciExecutor, spec: MakeSpec, rootfs: Path) -> None:
    wanted = spec(hostname="box", extra_hosts=[("peer", "10.0.0.7")])
    text = await output(executor, wanted, "hostname; cat /etc/hosts")
    assert text.splitlines() == [
        "box",
        "127.0.0.1\tlocalhost box",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "10.0.0.7\tpeer",
    ]
    assert not (rootfs / "etc/hosts").exists(), "the mount point was left behind"
    assert not (rootfs / "etc/resolv.conf").exists()


async def test_no_network(executor: OciExecutor, spec: MakeSpec) -> None:
    text = await output(executor, spec(network="none"), "cat /proc/net/dev | tr -s ' '")
    assert [line.split(":")[0].strip() for line in text.splitlines()[2:]] == ["lo"]


async def test_mounts_and_selectors(
    executor: OciExecutor, spec: MakeSpec, tmp_path: Path, rootfs: Path
) -> None:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "sub/file").write_text("hello")
    (data / "escape").symlink_to("/sub")
    bind = [Mount("bind", str(data))]
    wanted = spec(
        ContainerMount("/whole", bind),
        ContainerMount("/ro/dir", bind, selector="sub", readonly=True),
        ContainerMount("/file", bind, selector="/escape/file"),
        ContainerMount("/tmpfs", [Mount("tmpfs", "tmpfs", ("nosuid", "size=65536"))]),
    )
    text = await output(
        executor,
        wanted,
        "cat /ro/dir/file /file; touch /ro/dir/x 2>/dev/null || echo readonly; echo 1 > /whole/new;"
        "mount | grep -c /tmpfs",
    )
    assert text == "hellohelloreadonly\n1\n"
    assert (data / "new").exists()
    assert not (rootfs / "ro").exists(), "parents of mount points were left behind"
    with pytest.raises(NotFound, match="open /missing: no such file or directory"):
        await output(executor, spec(ContainerMount("/x", bind, selector="/missing")), "true")


async def test_a_used_mount_point_stays(
    executor: OciExecutor, spec: MakeSpec, tmp_path: Path, rootfs: Path
) -> None:
    (rootfs / "mnt").mkdir()
    os.utime(rootfs / "etc", (1, 1))
    wanted = spec(ContainerMount("/mnt/x", [Mount("bind", str(tmp_path))]))
    await output(executor, wanted, "echo > /mnt/other")
    assert sorted(p.name for p in (rootfs / "mnt").iterdir()) == ["other"]


async def test_readonly_root(executor: OciExecutor, spec: MakeSpec) -> None:
    text = await output(executor, spec(readonly_root=True), "touch /x 2>/dev/null || echo no")
    assert text == "no\n"


async def test_sandbox_and_insecure(executor: OciExecutor, spec: MakeSpec) -> None:
    script = (
        "mount -t tmpfs x /tmp 2>/dev/null && echo yes || echo no; grep Seccomp: /proc/self/status"
    )
    assert (await output(executor, spec(), script)).split() == ["no", "Seccomp:", "2"]
    assert (await output(executor, spec(insecure=True), script)).split() == ["yes", "Seccomp:", "0"]


async def test_limits_are_lowered_not_refused(executor: OciExecutor, spec: MakeSpec) -> None:
    wanted = spec(ulimits=[Rlimit("nofile", 1 << 20, 1 << 30), Rlimit("nproc", 77, 77)])
    assert await output(executor, wanted, "ulimit -u; ulimit -n") != ""


async def test_a_missing_executable(executor: OciExecutor, spec: MakeSpec) -> None:
    from croze.runtime.contract import Process

    with pytest.raises(StartError, match="nonexistent"):
        await executor.run(
            spec(), Process(args=["nonexistent"], env=["PATH=/bin"]), Output().stdio()
        )


async def test_out_of_memory_is_told(executor: OciExecutor, spec: MakeSpec) -> None:
    wanted = spec(resources=Resources(memory=16 << 20))
    with pytest.raises(ResourceExhausted, match="memory limit of 16777216 bytes"):
        await output(executor, wanted, "exec head -c 60000000 /dev/zero > /dev/shm/x")


async def test_cancel_kills_at_once(executor: OciExecutor, spec: MakeSpec) -> None:
    out, started = Output(), asyncio.Event()
    stdio = Stdio(lambda data: started.set(), out.stderr.extend)
    script = "trap '' TERM INT; echo up; (sleep 1000 & sleep 1000 & wait)"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(executor.run(spec(), shell(script), stdio))
        await started.wait()
        begin = time.monotonic()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert time.monotonic() - begin < 9  # the machine may be busy: far from the step's 1000 s


async def test_cancel_before_it_is_up(executor: OciExecutor, spec: MakeSpec) -> None:
    for delay in (0, 0.001, 0.004, 0.008):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(delay):
                await executor.run(spec(), shell("sleep 1000"), Output().stdio())


async def test_exec_into_a_running_container(executor: OciExecutor, spec: MakeSpec) -> None:
    main, more = Output(), Output()
    async with executor.start(spec(), shell("sleep 1000; true"), main.stdio()) as box:
        code = await box.exec(shell("echo $((1+1)); id -u; exit 5", user="app"), more.stdio())
        assert (code, bytes(more.stdout)) == (5, b"2\n1001\n")
        await box.kill(signal.SIGKILL)
        assert await box.wait() == 137


async def test_nothing_leaks_over_many(executor: OciExecutor, spec: MakeSpec) -> None:
    rounds = int(os.environ.get("CROZE_TEST_CONTAINERS", "20"))
    await output(executor, spec(), "true")
    before, mounted = descriptors(), mounts(executor)
    for _ in range(rounds):
        await output(executor, spec(), "true")
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
    source = [Mount("bind", str(tree), ("rbind", "ro"))]
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

        def mount(entry: Mount, target: Path) -> None:
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
    bundle = Bundle(tmp_path / "bundle")
    point = bundle.path / "m/0"
    point.mkdir(parents=True)
    (bundle.path / "config.json").touch()
    store_mount.raw_mount(str(tmp_path / "tree"), point, "", store_mount.MS_BIND)
    bundle.close()
    assert (tmp_path / "tree/sub/file").exists()
    assert [p.name for p in bundle.path.rglob("*")] == ["m", "0", "sub", "file"]
    store_mount.unmount(point)
    bundle.close()
    assert not bundle.path.exists()


def test_what_is_only_read_is_bound_so(own_mounts: bool, tmp_path: Path) -> None:
    """Not even the daemon can write through a bundle's mounts to what is read-only."""
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/file").touch()
    bundle = Bundle(tmp_path / "bundle")
    source = [Mount("bind", str(tmp_path / "tree"), ("rbind", "ro"))]
    for selector in ("/sub", "/file"):
        (made,) = bundle.add(ContainerMount("/x", source, selector=selector, readonly=True))
        with pytest.raises(OSError, match="Read-only file system"):
            os.utime(made.source)
    bundle.close()


async def test_a_foreign_executable(executor: OciExecutor, spec: MakeSpec, rootfs: Path) -> None:
    """What the kernel refuses to execute is told in one plain line."""
    from croze.runtime.contract import Process

    data = bytearray((rootfs / "bin/busybox").read_bytes())
    data[18:20] = (243).to_bytes(2, "little")  # ELF's e_machine: RISC-V
    (rootfs / "foreign").write_bytes(data)
    (rootfs / "foreign").chmod(0o755)
    said = Output()
    with pytest.raises(StartError, match="exec /foreign: exec format error"):
        await executor.run(spec(), Process(args=["/foreign"], env=[]), said.stdio())
    assert said.stderr.decode().endswith("exec /foreign: exec format error\n")


async def test_out_of_memory_is_told_from_being_killed(
    executor: OciExecutor, spec: MakeSpec
) -> None:
    small = spec(resources=Resources(memory=16 << 20, memory_swap=16 << 20))
    # What tail keeps of a line without an end grows until the kernel has enough.
    hungry = shell("exec tail -n 1 /dev/zero")
    with pytest.raises(ResourceExhausted, match="memory limit of 16777216 bytes reached"):
        await executor.run(small, hungry, Output().stdio())
    assert await executor.run(small, shell("sh -c 'kill -9 $$'; exit $?"), Output().stdio()) == 137
