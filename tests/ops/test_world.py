"""Ops as a build uses them: solver, store, runtime, workers and sessions are real."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from croze import llb
from croze.api import ops_pb2
from croze.digests import digest_of
from croze.errors import CrozeError, ExitError, InvalidRequest, NotFound, SolveDetail
from croze.fs.mount import MS_REMOUNT, raw_mount, unmount
from croze.llb.state import State
from croze.ops.load import load
from croze.ops.logs import LogLimits
from croze.store import ref_mounts
from croze.store.contract import MountSpec
from croze.store.mount import mount_all
from tests.ops.world import World

pytestmark = pytest.mark.root


def base() -> State:
    return llb.source("tree://busybox", {})


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


async def test_a_step_writes_and_logs(world: World) -> None:
    state = base().run(sh("echo out; echo err >&2; echo made > /x; mkdir /d"), dir="/work").root
    files = await world.files(state)
    assert files["x"] == "made\n"
    assert (world.output(1), world.output(2)) == ("out\n", "err\n")
    assert "etc/resolv.conf" not in files


async def test_a_failing_step(world: World) -> None:
    state = base().run(sh("echo last words; exit 7")).root
    with pytest.raises(ExitError) as caught:
        await world.files(state)
    assert caught.value.exit_code == 7
    message = 'process "/bin/sh -c echo last words; exit 7" did not complete successfully: '
    assert str(caught.value) == message + "exit code: 7"
    assert any(isinstance(d, SolveDetail) for d in caught.value.details)
    assert world.output() == "last words\n"


async def test_a_full_disk_is_no_lack_of_memory(world: World, tmp_path: Path) -> None:
    """The kernel makes a directory when an overlay is mounted."""
    snapshots = tmp_path / "store/snapshots"
    raw_mount("tmpfs", snapshots, "tmpfs", 0)
    try:
        await world.files(base())
        found = os.statvfs(snapshots)
        most = found.f_files - found.f_ffree + 4
        raw_mount("tmpfs", snapshots, "tmpfs", MS_REMOUNT, f"nr_inodes={most}")
        with pytest.raises(CrozeError) as caught:
            await world.files(base().run(sh("true")).root)
    finally:
        unmount(snapshots)
    assert str(caught.value).lower().endswith(": no space left on device")


async def test_an_executable_that_is_not_there(world: World) -> None:
    with pytest.raises(ExitError, match=r'process "/nope" did not complete .* exit code: 1'):
        await world.files(base().run(["/nope"]).root)
    assert "/nope" in world.output(2)


async def test_valid_exit_codes(world: World) -> None:
    assert "x" in await world.files(base().run(sh("echo > /x; exit 3"), valid_exit_codes=[3]).root)


async def test_results_are_cached(world: World) -> None:
    state = base().run(sh("echo made > /x")).root
    await world.files(state)
    world.names.clear()
    assert (await world.files(state))["x"] == "made\n"
    assert "/bin/sh -c echo made > /x" not in world.names


async def test_mounts_give_results_and_take_nothing_else(world: World) -> None:
    data = llb.scratch().file(llb.mkfile("/in", "1").mkfile("/sub/../deep", "2"))
    run = base().run(
        sh("cat /ro/in; echo 3 > /rw/out; echo 4 > /away/out; touch /ro/x || echo readonly"),
        mounts=[
            llb.bind("/ro", data, readonly=True),
            llb.bind("/rw", data),
            llb.bind("/away", data, no_output=True),
            llb.tmpfs("/tmpfs", size_bytes=1 << 20),
        ],
    )
    assert await world.files(run.mount("/rw")) == {"in": "1", "deep": "2", "out": "3\n"}
    assert world.output() == "1readonly\n"
    root = await world.files(run.root)
    assert not [name for name in root if name.startswith(("ro/", "rw/", "away/", "tmpfs"))]


async def test_parents_are_mounted_first(world: World) -> None:
    data = llb.scratch().file(llb.mkfile("/f", "1").mkdir("/in"))
    run = base().run(
        sh("cat /m/f; ls /m/in"),
        mounts=[llb.bind("/m/in", data, readonly=True), llb.bind("/m", data, readonly=True)],
    )
    await world.files(run.root)
    assert world.output() == "1f\nin\n"


async def test_cache_mounts_stay(world: World) -> None:
    def step(n: int) -> State:
        return (
            base()
            .run(
                sh(f"echo {n} >> /cache/log; cat /cache/log > /seen"),
                mounts=[llb.cache("/cache", "pip")],
            )
            .root
        )

    await world.files(step(1))
    files = await world.files(step(2))
    assert files["seen"] == "1\n2\n"
    assert "cache/log" not in files


NOT_STARTED = 'process "/bin/true" did not complete successfully: '


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"security": 2}, NOT_STARTED + "invalid security mode 2"),
        ({"network": 9}, NOT_STARTED + "unknown network mode 9"),
        (
            {"cdiDevices": [ops_pb2.CDIDevice(name="a.com/b=c")]},
            NOT_STARTED
            + 'CDI device injection failed: required device "a.com/b=c" is not registered',
        ),
        (
            {
                "mounts": [
                    ops_pb2.Mount(
                        input=-1, dest="/m", output=-1, mountType=ops_pb2.MountType.ValueType(9)
                    )
                ]
            },
            "mount type 9 not implemented",
        ),
        (
            {"mounts": [ops_pb2.Mount(input=-1, dest="/m", output=-1, mountType=ops_pb2.SECRET)]},
            "invalid secret mount options",
        ),
        ({"meta": ops_pb2.Meta(cwd="a")}, None),
    ],
)
async def test_what_no_step_can_have_is_refused(
    world: World, asked: dict[str, Any], told: str | None
) -> None:
    definition = base().run(["/bin/true"]).root.marshal()
    op = ops_pb2.Op.FromString(getattr(definition, "def")[-2])
    op.exec.MergeFrom(ops_pb2.ExecOp(**asked))
    edge = await load(with_last_op(definition, op))
    async with world.solver.job("odd") as job:
        with pytest.raises(CrozeError) as caught:
            await job.build(edge)
    assert str(caught.value) == (told or NOT_STARTED + "exit code: 1")


@pytest.mark.parametrize(
    ("identifier", "told"),
    [("zz://x", "unknown scheme zz: not found"), ("x", "failed to parse x: invalid")],
)
async def test_sources_of_no_scheme(world: World, identifier: str, told: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await world.files(llb.source(identifier, {}))
    assert str(caught.value) == f"failed to load cache key: {told}"


async def test_a_merge_of_nothing(world: World) -> None:
    merge = ops_pb2.MergeOp(inputs=[ops_pb2.MergeInput(input=-1)])
    edge = await load(
        with_last_op(llb.scratch().file(llb.mkdir("/d")).marshal(), ops_pb2.Op(merge=merge))
    )
    async with world.solver.job("none") as job:
        with pytest.raises(InvalidRequest, match="need 0 index but 0 results received"):
            await job.build(edge)


def with_last_op(definition: ops_pb2.Definition, op: ops_pb2.Op) -> ops_pb2.Definition:
    """The same graph with another op in place of the one it is for."""
    *others, _, _ = getattr(definition, "def")
    data = op.SerializeToString(deterministic=True)
    end = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest_of(data))])
    changed = ops_pb2.Definition()
    getattr(changed, "def").extend([*others, data, end.SerializeToString()])
    return changed


async def test_locked_caches_take_turns(world: World) -> None:
    def step(name: str) -> State:
        script = f"mkdir /c/lock && sleep 0.1 && rm -r /c/lock && echo > /{name}"
        return base().run(sh(script), mounts=[llb.cache("/c", "x", sharing="locked")]).root

    a, b = step("a"), step("b")
    both = llb.scratch().file(llb.copy(a, "/a", "/").copy(b, "/b", "/"))
    assert set(await world.files(both)) == {"a", "b"}


async def test_secrets(world: World) -> None:
    run = base().run(
        sh("cat /run/secrets/token; ls -ln /run/secrets/token > /perm; echo $TOKEN"),
        mounts=[
            llb.secret("token", "/run/secrets/token", uid=5, gid=6, mode=0o440),
            llb.secret("token", env="TOKEN"),
            llb.secret("missing", "/run/secrets/missing", optional=True),
        ],
    )
    files = await world.files(run.root)
    assert world.output() == "hush\nhush\n"
    assert files["perm"].split()[:4:2] == ["-r--r-----", "5"]
    assert not [n for n in files if n.startswith("run/")]
    needs = base().run(sh("true"), mounts=[llb.secret("missing", "/s")]).root
    with pytest.raises(NotFound, match=r"^secret missing: not found$"):
        await world.files(needs)


async def test_an_ssh_agent_that_is_not_there(world: World) -> None:
    optional = base().run(sh("echo $SSH_AUTH_SOCK"), mounts=[llb.ssh("", "/a", optional=True)])
    await world.files(optional.root)
    needed = base().run(sh("true"), mounts=[llb.ssh("", "/a")]).root
    with pytest.raises(CrozeError, match='no SSH key "" forwarded from the client'):
        await world.files(needed)


async def test_file_ops(world: World) -> None:
    source = llb.scratch().file(
        llb.mkdir("/src")
        .mkfile("/src/a.txt", "a")
        .mkfile("/src/b.md", "b")
        .symlink("a.txt", "/src/l")
    )
    options = llb.CopyOptions(dir_contents=True, exclude=("*.md",), create_dest=True)
    state = base().file(
        llb.copy(source, "/src", "/dst/", options)
        .mkfile("/dst/new", "n", 0o600, owner=llb.owner("app"))
        .rm("/etc/group")
    )
    async with world.built(state) as ref:
        assert ref is not None
        async with ref.mounted(readonly=True) as root:
            assert (root / "dst/a.txt").read_text() == "a"
            assert not (root / "dst/b.md").exists()
            assert (root / "dst/l").readlink().name == "a.txt"
            st = (root / "dst/new").stat()
            assert (st.st_uid, st.st_gid, st.st_mode & 0o777) == (1001, 1002, 0o600)
            assert not (root / "etc/group").exists()
            assert (root / "etc/passwd").exists()


async def test_a_missing_copy_source(world: World) -> None:
    state = base().file(llb.copy(llb.scratch().file(llb.mkdir("/x")), "/nope", "/"))
    with pytest.raises(
        NotFound,
        match=r'^failed to compute cache key: failed to calculate .* ref \w+: "/nope": not found',
    ):
        await world.files(state)


async def test_copies_are_found_by_content(world: World) -> None:
    def made_by(command: str) -> State:
        made = base().run(sh(f"{command}; echo same > /x")).root
        return base().file(llb.copy(made, "/x", "/copied", llb.CopyOptions(created_ns=0)))

    await world.files(made_by("true"))
    world.names.clear()
    await world.files(made_by("true || true"))
    assert "copy /x /copied" not in world.names
    assert "/bin/sh -c true || true; echo same > /x" in world.names


async def test_merge_and_diff(world: World) -> None:
    a = llb.scratch().file(llb.mkfile("/a", "1").mkfile("/both", "a"))
    b = llb.scratch().file(llb.mkfile("/b", "2").mkfile("/both", "b"))
    merged = llb.merge([a, b])
    assert await world.files(merged) == {"a": "1", "b": "2", "both": "b"}
    assert await world.files(llb.diff(a, a.file(llb.mkfile("/c", "3")))) == {"c": "3"}


async def test_cancel_stops_the_step(world: World) -> None:
    state = base().run(sh("echo up; sleep 1000")).root

    async def build() -> None:
        await world.files(state)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(build())
        while not list((world.services.scratch_dir.parent / "run/pid").glob("*")):
            await asyncio.sleep(0.005)
        begin = time.monotonic()
        task.cancel()
        await asyncio.wait([task])
    while list((world.services.scratch_dir.parent / "run/bundle").iterdir()):
        await asyncio.sleep(0.005)
    assert time.monotonic() - begin < 9  # the machine may be busy: far from the step's 1000 s


async def test_forty_steps_in_a_row(world: World) -> None:
    state = base()
    for n in range(40):
        state = state.run(sh(f"echo {n} >> /log")).root
    begin = time.monotonic()
    files = await world.files(state)
    assert files["log"].split() == [str(n) for n in range(40)]
    print(f"40 steps: {(time.monotonic() - begin) * 1000 / 40:.1f} ms each")


def test_limits_are_read_from_the_environment() -> None:
    assert LogLimits.from_env({"BUILDKIT_STEP_LOG_MAX_SIZE": "-1"}) == LogLimits(max_size=-1)


async def test_a_difference_has_no_unchanged_files(world: World) -> None:
    """A file that is moved there and back is in the step's layer, but is no change."""
    lower = base().run(sh("mkdir /d; echo same > /d/kept; echo old > /d/other")).root
    moved = "mv /d/kept /away; mv /away /d/kept; mkdir /d/x; rmdir /d/x"
    assert await world.files(llb.diff(lower, lower.run(sh(moved)).root)) == {}
    changed = lower.run(sh(f"{moved}; echo new > /d/other")).root
    difference = llb.diff(lower, changed)
    assert await world.files(difference) == {"d/other": "new\n"}
    merged = llb.merge([llb.scratch().file(llb.mkfile("/top", "1")), difference])
    assert await world.files(merged) == {"d/other": "new\n", "top": "1"}


async def test_a_difference_on_nothing_shows_no_deleted_names(world: World) -> None:
    """Its lowest layer has whiteouts; a file that only moved there and back has it made anew."""
    lower = (
        base().run(sh("mkdir -p /d/sub; echo a > /d/gone; echo b > /d/kept; echo c > /top")).root
    )
    plain = lower.run(sh("rm /d/gone /top; echo new > /d/new")).root
    anew = lower.run(
        sh("mv /d/kept /x; mv /x /d/kept; rm /d/gone /top; rmdir /d/sub; echo new > /d/new")
    ).root
    opaque = lower.run(sh("rm -r /d /top; mkdir /d; echo new > /d/new")).root
    for upper in (plain, anew, opaque):
        difference = llb.diff(lower, upper)
        assert await world.files(difference) == {"d/new": "new\n"}
        listing = base().run(
            sh("cd /diff && find . | sort > /out/list"),
            mounts=[llb.bind("/diff", difference, readonly=True), llb.bind("/out", llb.scratch())],
        )
        assert await world.files(listing.mount("/out")) == {"list": ".\n./d\n./d/new\n"}
        merged = llb.merge([difference, llb.scratch().file(llb.mkfile("/more", "1"))])
        assert await world.files(merged) == {"d/new": "new\n", "more": "1"}


async def test_steps_that_wait_for_a_worker_have_nothing_mounted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount takes the longer the more there are."""
    written: set[str] = set()
    most = 0

    def mount(specs: Sequence[MountSpec], target: Path) -> None:
        nonlocal most
        if any(option.startswith("upperdir") for spec in specs for option in spec.options):
            written.add(str(target))
            most = max(most, len(written))
        mount_all(specs, target)

    def forget(path: str | Path) -> None:
        written.discard(str(path))
        unmount(path)

    monkeypatch.setattr(ref_mounts, "mount_all", mount)
    monkeypatch.setattr(ref_mounts, "unmount", forget)
    rows = [
        llb.scratch().file(llb.mkfile(f"/{row}", "")).file(llb.mkfile(f"/then{row}", ""))
        for row in range(12)
    ]
    action = llb.copy(rows[0], "/0", "/")
    for number, row in enumerate(rows[1:], 1):
        action = action.then(llb.copy(row, f"/{number}", "/"))
    assert len(await world.files(llb.scratch().file(action))) == 12
    assert 0 < most <= 2
    assert not written
