"""`import croze`: programs that build, on a crozed, a buildkitd and in a Docker engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import croze
from tests.e2e.dockerd import own_dockerd
from tests.e2e.images import busybox as binary
from tests.e2e.peers import buildkitd, buildkitd_binary
from tests.e2e.sandbox import REPO, Sandbox, execute, registry
from tests.support.waiting import PATIENCE_S, eventually

EXAMPLES = REPO / "examples/python"


@pytest.fixture
def at(desk: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """This process uses the sandbox's daemon and files."""
    for name, value in desk.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CROZE_HOST", desk.address)
    return desk


@pytest.fixture
def app(desk: Sandbox) -> Path:
    """A context whose base is beside it."""
    lines = [
        "FROM scratch AS base",
        "COPY busybox /bin/",
        'SHELL ["/bin/busybox", "sh", "-c"]',
        "RUN ln -s busybox /bin/cat",
        "FROM base",
        "ARG VERSION=0",
        "RUN echo version $VERSION > /version; echo made $VERSION",
    ]
    made = desk.context("app", {"Dockerfile": "\n".join(lines), "busybox": binary().read_bytes()})
    (made / "busybox").chmod(0o755)
    return made


def example(sandbox: Sandbox, name: str, *words: str | Path, check: bool = True) -> str:
    env = {**sandbox.env, "CROZE_HOST": sandbox.address}
    done = execute([sys.executable, EXAMPLES / f"{name}.py", *words], env, check=check)
    return done.output


def test_the_examples_run(desk: Sandbox, app: Path, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as host:
        said = example(desk, "build_and_push", app, f"{host}/app")
        assert re.fullmatch(rf"{host}/app@sha256:[0-9a-f]{{64}}\n", said)
    lines = example(desk, "matrix", app, "1", "2").splitlines()
    assert [line.split()[0] for line in lines] == ["app:1", "app:2"]
    assert desk.croze("run", "app:2", "cat", "/version").stdout == "version 2\n"
    said = example(desk, "watch", app)
    assert "  made 0\n" in said
    assert re.search(r"\[stage-1 1/1\] RUN .* [\d.]+ s\n", said)
    (app / "Dockerfile").write_text("FROM scratch\nRUN nothing\n")
    assert "the build failed: failed to solve" in example(desk, "watch", app, check=False)


async def test_a_builder_builds_tells_and_cleans(at: Sandbox, app: Path) -> None:
    async with croze.connect() as builder:
        build = builder.build(app, tags=["told"], secrets={"word": b"secret"})
        steps = [e.step.stage async for e in build if isinstance(e, croze.StepDone)]
        assert {"internal", "base", "stage-1"} <= set(steps)
        result = await build
        assert result.names == ("docker.io/library/told:latest",) or result.names == ("told",)
        record = await builder.record(result.ref)
        assert record.status == "completed"
        assert record.completed_at is not None
        again = [event async for event in builder.watch(result.ref)]
        assert [e.step.stage for e in again if isinstance(e, croze.StepDone)]
        assert result.ref in [each.ref for each in await builder.history()]
        assert sum(each.size for each in await builder.du()) > 0
        gone = await builder.prune(all=True)
        assert gone
        await builder.forget(result.ref)
        with pytest.raises(croze.NotFound):
            await builder.record(result.ref)


async def test_a_cancelled_task_cancels_its_build(at: Sandbox, app: Path) -> None:
    (app / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/\nRUN ["/bin/busybox", "sleep", "1000"]\n'
    )
    async with croze.connect() as builder:
        build = builder.build(app)
        async for event in build:
            if isinstance(event, croze.StepStarted) and "sleep" in event.step.name:
                break
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(_ended(build))
            await asyncio.sleep(0)
            waiting.cancel()
        assert build.status == "canceled"


async def _ended(build: croze.Build[croze.Result]) -> None:
    await build


async def test_a_block_that_fails_cancels_what_runs(at: Sandbox, app: Path) -> None:
    (app / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/\nRUN ["/bin/busybox", "sleep", "1001"]\n'
    )
    builds: list[croze.Build[croze.Result]] = []

    async def fails() -> None:
        async with croze.connect() as builder:
            builds.append(builder.build(app))
            async for event in builds[0]:
                if isinstance(event, croze.StepStarted) and "sleep" in event.step.name:
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert builds[0].status == "canceled"


BAKE = """
variable "VERSION" { default = "1" }
group "default" { targets = ["one", "two"] }
target "one" { args = { VERSION = VERSION } }
target "two" {
  inherits = ["one"]
  args = { VERSION = "two" }
}
target "far" {
  inherits = ["one"]
  output = ["type=local,dest=/somewhere"]
}
"""


async def test_bake_gives_a_result_by_target(
    at: Sandbox, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (app / "docker-bake.hcl").write_text(BAKE)
    monkeypatch.chdir(app)
    async with croze.connect() as builder:
        build = builder.bake(variables={"VERSION": "7"}, overrides=["*.tags=baked"])
        said = [event.text async for event in build if isinstance(event, croze.StepLog)]
        assert {"made 7\n", "made two\n"} <= set(said)
        results = await build
        assert set(results) == {"one", "two"}
        assert results["one"].image_id != results["two"].image_id
        with pytest.raises(
            croze.CrozeError, match=r"Write access to path /: allow=\['fs.write=/'\]"
        ):
            await builder.bake(["far"])
        with pytest.raises(croze.CrozeError, match="failed to find target nobody"):
            await builder.bake(["nobody"])
        with pytest.raises(croze.InvalidRequest, match="only definitions in files"):
            await builder.bake(["https://example.com/definitions.git"])


def test_without_an_event_loop_calls_are_plain(
    at: Sandbox, app: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[croze.Event] = []
    result = croze.build(app, tags=["plain"], on_event=seen.append, progress="plain", no_cache=True)
    assert any(isinstance(e, croze.StepLog) and e.text == "made 0\n" for e in seen)
    assert "made 0" in capfd.readouterr().err
    with croze.connect() as builder:
        assert builder.record(result.ref).status == "completed"
        assert list(builder.watch(result.ref))
        assert builder.history(limit=1)[0].ref == result.ref
        assert builder.du()
        (app / "docker-bake.json").write_text('{"target": {"default": {}}}')
        with contextlib.chdir(app):
            assert list(builder.bake(files=["docker-bake.json"])) == ["default"]
        with pytest.raises(croze.InvalidRequest, match="unknown build option: tag"):
            builder.build(app, tag="x")  # type: ignore[call-arg]
    with pytest.raises(croze.CrozeError, match=r"no builder \"nobody\" found"):
        croze.build(app, builder="nobody")


async def test_plain_calls_work_where_a_loop_is_running(at: Sandbox, app: Path) -> None:
    """As in a notebook's cell."""
    assert croze.build(app).image_id.startswith("sha256:")


def test_ctrl_c_in_a_plain_call_cancels_the_build(at: Sandbox, app: Path) -> None:
    (app / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/\nRUN ["/bin/busybox", "sh", "-c", "echo up; '
        'exec /bin/busybox sleep 1002"]\n'
    )
    program = (
        "import sys, croze\n"
        "say = lambda e: print('up', flush=True) if isinstance(e, croze.StepLog) else None\n"
        "try:\n    croze.build(sys.argv[1], on_event=say)\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(app)], env=dict(os.environ), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE_S)[0] == b"interrupted\n"
    with croze.connect() as builder:
        eventually(lambda: builder.history(limit=1)[0].status != "running")
        assert builder.history(limit=1)[0].status == "canceled"


async def test_images_in_a_registry(at: Sandbox, app: Path, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as host:
        async with croze.connect() as builder:
            one = await builder.build(app, tags=[f"{host}/one"], push=True)
            found = await builder.imagetools.inspect(f"{host}/one")
            assert found.digest == one.digest
            assert list(found.configs) == ["linux/amd64"]
            both = await builder.imagetools.create([f"{host}/both:1"], [f"{host}/one"])
            assert (await builder.imagetools.inspect(f"{host}/both:1")).digest == both


def test_the_examples_run_in_a_docker_engine_and_on_a_buildkitd(
    desk: Sandbox, app: Path, tmp_path: Path
) -> None:
    (app / "Dockerfile").write_text("FROM scratch\nARG VERSION\nCOPY busybox /it\n")
    folder = desk.path / "engine"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(registry(tmp_path / "registry"))
        docker = {"DOCKER_HOST": stack.enter_context(own_dockerd(folder))}
        places = [{**docker, "BUILDX_BUILDER": "default"}]
        if binary_of_buildkitd := buildkitd_binary():
            address = stack.enter_context(buildkitd(binary_of_buildkitd, folder / "b"))
            places.append({"CROZE_HOST": address})
        for place in places:
            env = {**desk.env, **place}
            name = f"{host}/app"
            said = execute([sys.executable, EXAMPLES / "build_and_push.py", app, name], env).stdout
            assert re.fullmatch(rf"{host}/app@sha256:[0-9a-f]{{64}}\n", said)
            said = execute([sys.executable, EXAMPLES / "matrix.py", app, "1", "2"], env).stdout
            assert [line.split()[0] for line in said.splitlines()] == ["app:1", "app:2"]
            said = execute([sys.executable, EXAMPLES / "watch.py", app], env).stdout
            assert "COPY busybox /it" in said


def test_importing_costs_little() -> None:
    """The library's parts are imported when they are used."""
    code = "import sys, croze; print(len([m for m in sys.modules if m.startswith('croze')]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"2\n", "the package and its version"


MISUSED = """\
import asyncio, gc, os, sys, threading
import croze

def told(use):
    try:
        print(len(use()) > 0)
    except croze.CrozeError as error:
        print(f"{type(error).__name__}: {error}")
    sys.stdout.flush()

def forked(use):
    if (pid := os.fork()) == 0:
        told(use)
        os._exit(0)
    os.waitpid(pid, 0)

def again():
    with croze.connect() as builder:
        return builder.du()

builder = croze.connect().__enter__()
gc.collect()
builder.build(sys.argv[1], args={"VERSION": "misused"})
told(builder.du)
forked(builder.du)
forked(again)
with croze.connect() as closed:
    told(closed.du)
told(closed.du)

async def main():
    async with croze.connect() as builder:
        other = threading.Thread(target=told, args=[lambda: asyncio.run(builder.du())])
        other.start()
        await asyncio.to_thread(other.join)
    try:
        builder.build(sys.argv[1])
    except croze.CrozeError as error:
        print(error)

asyncio.run(main())
"""


def test_builders_where_they_must_not_be_used(at: Sandbox, app: Path) -> None:
    """In a process that was forked, which may make its own; on another event loop; when they are
    closed."""
    env = {**at.env, "CROZE_HOST": at.address}
    done = execute([sys.executable, "-c", MISUSED, app], env)
    lines = [line.partition(":")[0] for line in done.stdout.splitlines()]
    refused = "InvalidRequest"
    assert lines[:6] == ["True", refused, "True", "True", refused, refused], done.output
    assert lines[6] == "this builder is closed"
