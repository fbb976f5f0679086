"""What every `Executor` must do. Subclass with the fixtures `executor`, which looks whether
anything is left behind, `rootfs` (a folder with busybox) and `spec`, which makes containers of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from croze.errors import InvalidRequest, NotFound
from croze.runtime.contract import ContainerMount, ContainerSpec, Executor, Process, Stdio
from croze.runtime.errors import StartError
from croze.store.contract import MountSpec
from tests.runtime.conftest import Output, shell

MakeSpec = Callable[..., ContainerSpec]


async def output_of(
    executor: Executor, spec: ContainerSpec, script: str, *, user: str = "", cwd: str = "/"
) -> str:
    out = Output()
    code = await executor.run(spec, shell(script, user=user, cwd=cwd), out.stdio())
    assert (code, out.stderr.decode()) == (0, "")
    return out.stdout.decode()


class ExecutorSuite:
    """The contract as tests."""

    async def test_output_and_exit_code(self, executor: Executor, spec: MakeSpec) -> None:
        out = Output()
        code = await executor.run(spec(), shell("echo out; echo err >&2; exit 3"), out.stdio())
        assert (code, bytes(out.stdout), bytes(out.stderr)) == (3, b"out\n", b"err\n")

    async def test_all_output_comes_before_the_end(
        self, executor: Executor, spec: MakeSpec
    ) -> None:
        text = await output_of(
            executor, spec(), "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
        )
        assert text.splitlines()[-1] == "line 19999"

    async def test_a_signal_is_128_and_more(self, executor: Executor, spec: MakeSpec) -> None:
        async with executor.start(spec(), shell("sleep 60"), Output().stdio()) as container:
            await container.kill(signal.SIGKILL)
            assert await container.wait() == 128 + signal.SIGKILL

    async def test_stdin_and_environment(self, executor: Executor, spec: MakeSpec) -> None:
        async def lines() -> AsyncIterator[bytes]:
            yield b"one\n"
            yield b"two\n"

        out = Output()
        stdio = Stdio(out.stdout.extend, out.stderr.extend, stdin=lines())
        process = shell("cat; echo $X", env=["PATH=/bin", "X=1"])
        assert await executor.run(spec(), process, stdio) == 0
        assert bytes(out.stdout) == b"one\ntwo\n1\n"

    async def test_a_terminal(self, executor: Executor, spec: MakeSpec) -> None:
        out = Output()
        code = await executor.run(
            spec(), shell("[ -t 1 ] && echo tty; exit 4", tty=True), out.stdio()
        )
        assert (code, bytes(out.stdout)) == (4, b"tty\r\n")

    async def test_the_user_comes_from_the_container(
        self, executor: Executor, spec: MakeSpec
    ) -> None:
        text = await output_of(executor, spec(), "id", user="app")
        assert text.startswith("uid=1001(app) gid=1002(app) groups=10(wheel),1002(app),1003(extra)")
        with pytest.raises(
            InvalidRequest, match="unable to find user nobody: no matching entries in passwd file"
        ):
            await executor.run(spec(), shell("id", user="nobody"), Output().stdio())

    async def test_working_directory_is_made(
        self, executor: Executor, spec: MakeSpec, rootfs: Path
    ) -> None:
        assert await output_of(executor, spec(), "pwd", cwd="/a/b", user="1001:1002") == "/a/b\n"
        assert (rootfs / "a/b").stat().st_uid == 1001

    async def test_hosts_and_name(self, executor: Executor, spec: MakeSpec, rootfs: Path) -> None:
        wanted = spec(hostname="box", extra_hosts=[("peer", "10.0.0.7")])
        text = await output_of(executor, wanted, "hostname; cat /etc/hosts")
        assert text.splitlines() == [
            "box",
            "127.0.0.1\tlocalhost box",
            "::1\tlocalhost ip6-localhost ip6-loopback",
            "10.0.0.7\tpeer",
        ]
        assert not (rootfs / "etc/hosts").exists(), "the mount point was left behind"
        assert not (rootfs / "etc/resolv.conf").exists()

    async def test_no_network(self, executor: Executor, spec: MakeSpec) -> None:
        text = await output_of(executor, spec(network="none"), "cat /proc/net/dev | tr -s ' '")
        assert [line.split(":")[0].strip() for line in text.splitlines()[2:]] == ["lo"]

    async def test_mounts_and_selectors(
        self, executor: Executor, spec: MakeSpec, tmp_path: Path, rootfs: Path
    ) -> None:
        data = tmp_path / "data"
        (data / "sub").mkdir(parents=True)
        (data / "sub/file").write_text("hello")
        (data / "escape").symlink_to("/sub")
        bind = [MountSpec("bind", str(data))]
        wanted = spec(
            ContainerMount("/whole", bind),
            ContainerMount("/ro/dir", bind, selector="sub", readonly=True),
            ContainerMount("/file", bind, selector="/escape/file"),
            ContainerMount("/tmpfs", [MountSpec("tmpfs", "tmpfs", ("nosuid", "size=65536"))]),
        )
        text = await output_of(
            executor,
            wanted,
            "cat /ro/dir/file /file; touch /ro/dir/x 2>/dev/null || echo readonly;"
            "echo 1 > /whole/new; mount | grep -c /tmpfs",
        )
        assert text == "hellohelloreadonly\n1\n"
        assert (data / "new").exists()
        assert not (rootfs / "ro").exists(), "parents of mount points were left behind"
        with pytest.raises(NotFound, match="open /missing: no such file or directory"):
            await output_of(executor, spec(ContainerMount("/x", bind, selector="/missing")), "true")

    async def test_a_used_mount_point_stays(
        self, executor: Executor, spec: MakeSpec, tmp_path: Path, rootfs: Path
    ) -> None:
        (rootfs / "mnt").mkdir()
        os.utime(rootfs / "etc", (1, 1))
        wanted = spec(ContainerMount("/mnt/x", [MountSpec("bind", str(tmp_path))]))
        await output_of(executor, wanted, "echo > /mnt/other")
        assert sorted(p.name for p in (rootfs / "mnt").iterdir()) == ["other"]

    async def test_readonly_root(self, executor: Executor, spec: MakeSpec) -> None:
        text = await output_of(
            executor, spec(readonly_root=True), "touch /x 2>/dev/null || echo no"
        )
        assert text == "no\n"

    async def test_a_missing_executable(self, executor: Executor, spec: MakeSpec) -> None:
        with pytest.raises(StartError, match="nonexistent"):
            await executor.run(
                spec(), Process(args=["nonexistent"], env=["PATH=/bin"]), Output().stdio()
            )

    async def test_cancel_kills_at_once(self, executor: Executor, spec: MakeSpec) -> None:
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

    async def test_cancel_before_it_is_up(self, executor: Executor, spec: MakeSpec) -> None:
        for delay in (0, 0.001, 0.004, 0.008):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(delay):
                    await executor.run(spec(), shell("sleep 1000"), Output().stdio())

    async def test_exec_into_a_running_container(self, executor: Executor, spec: MakeSpec) -> None:
        main, more = Output(), Output()
        async with executor.start(spec(), shell("sleep 1000; true"), main.stdio()) as box:
            code = await box.exec(shell("echo $((1+1)); id -u; exit 5", user="app"), more.stdio())
            assert (code, bytes(more.stdout)) == (5, b"2\n1001\n")
            await box.kill(signal.SIGKILL)
            assert await box.wait() == 137

    async def test_a_foreign_executable(
        self, executor: Executor, spec: MakeSpec, rootfs: Path
    ) -> None:
        """What the kernel refuses to execute is told in one plain line."""
        data = bytearray((rootfs / "bin/busybox").read_bytes())
        data[18:20] = (243).to_bytes(2, "little")  # ELF's e_machine: RISC-V
        (rootfs / "foreign").write_bytes(data)
        (rootfs / "foreign").chmod(0o755)
        said = Output()
        with pytest.raises(StartError, match="exec /foreign: exec format error"):
            await executor.run(spec(), Process(args=["/foreign"], env=[]), said.stdio())
        assert said.stderr.decode().endswith("exec /foreign: exec format error\n")
