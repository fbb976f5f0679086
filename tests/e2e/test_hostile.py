"""What a client may send that no client of ours does: raw definitions, and cancellations at bad
instants. The daemon must neither leave its place on the machine nor lose what others have built."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tarfile
import termios
from pathlib import Path
from typing import IO

import pytest

from croze import llb
from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox, execute
from tests.support.waiting import PATIENCE_S, eventually


@pytest.mark.parametrize("form", ["{}", "{}.slice:x:"])
def test_a_cgroup_parent_stays_in_the_cgroups(
    desk: Sandbox, busybox: Path, tmp_path: Path, form: str
) -> None:
    """With crun, root made directories and files wherever it said."""
    outside = tmp_path / "outside"
    parent = form.format("a" + "/.." * 20 + str(outside))
    context = desk.context("cgroup", {"Dockerfile": "FROM base\nRUN cat /proc/self/cgroup\n"})
    flags = ["--cgroup-parent", parent, "--no-cache", "--progress", "plain"]
    done = desk.croze("build", *base(busybox), *flags, context)
    assert f":{form.format(outside)}" in done.output
    assert not list(tmp_path.glob("outside*"))


@pytest.mark.parametrize(
    ("parent", "told"), [("a//b", "it has an empty part"), ("a\0b", "invalid argument")]
)
def test_a_raw_cgroup_parent_is_checked(desk: Sandbox, parent: str, told: str) -> None:
    definition = llb.scratch().cgroup_parent(parent).run(["/x"]).root.marshal()
    done = desk.croze("llb", "build", stdin=definition.SerializeToString(), check=False)
    assert done.code == 1
    assert "failed to load LLB: invalid cgroup parent" in done.stderr
    assert told in done.stderr


def test_a_zero_byte_cuts_no_command(desk: Sandbox, busybox: Path) -> None:
    context = desk.context("zero", {"Dockerfile": "FROM base\nRUN echo one\0 > /o\n"})
    flags = ["--progress", "plain"]
    done = desk.croze("build", *base(busybox), *flags, context, check=False)
    assert done.code == 1
    assert "exec /bin/sh: invalid argument" in done.stderr
    assert "did not complete successfully: exit code: 1" in done.stderr


MOUNTS = " ".join(f"--mount=type=bind,from=files,source=/d{n},target=/m{n}" for n in range(8))
FILES = f"""FROM base AS files
RUN for d in 0 1 2 3 4 5 6 7; do mkdir -p /d$d/sub; for f in 1 2 3 4; do >/d$d/sub/$f; done; done
FROM base
ARG ROUND
RUN {MOUNTS} echo $ROUND; test $(find /m? -type f | wc -l) = 32; sleep $ROUND
"""


def test_builds_cancelled_at_any_instant_lose_nothing(desk: Sandbox, busybox: Path) -> None:
    context = desk.context("cancelled", {"Dockerfile": FILES})
    words = ["build", *base(busybox), "--progress", "plain", str(context)]
    desk.croze(*words, "--build-arg", "ROUND=0")
    for round in range(1, 9):
        with subprocess.Popen(
            [CROZE, *words, "--build-arg", f"ROUND=10{round}"],
            env=desk.env,
            stderr=subprocess.PIPE,
        ) as build:
            assert build.stderr is not None
            for line in build.stderr:
                if b"] RUN --mount" in line:
                    break
            build.send_signal(signal.SIGINT)
            said = build.stderr.read().decode()
            assert build.wait(PATIENCE_S) == 130, said
    desk.croze(*words, "--build-arg", "ROUND=0", "--no-cache-filter", "stage-1")


def interrupted(build: subprocess.Popen[bytes], sign: bytes) -> str:
    """What it says when it is interrupted once it has said `sign`. It must end soon."""
    assert build.stderr is not None
    next(line for line in build.stderr if sign in line)
    build.send_signal(signal.SIGINT)
    assert build.wait(PATIENCE_S) == 130
    return build.stderr.read().decode()


def test_an_interrupted_command_waits_for_no_pipe(desk: Sandbox, tmp_path: Path) -> None:
    """Neither for the rest of an archive, nor for who reads the result, nor for a reader at all."""
    pipe = subprocess.PIPE
    words: list[str | Path] = [CROZE, "build", "--progress", "plain"]
    files: dict[str, str | bytes] = {"Dockerfile": "FROM scratch\nCOPY big /\n"}
    files["big"] = bytes(1 << 22)
    context = desk.context("piped", files)
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        tar.add(context, ".")
    archive = (tmp_path / "c.tar").read_bytes()
    with subprocess.Popen([*words, "-"], env=desk.env, stdin=pipe, stderr=pipe) as build:
        assert build.stdin is not None
        build.stdin.write(archive[: len(archive) // 2])
        build.stdin.flush()
        assert "context canceled" in interrupted(build, b"load remote build context")
    words += ["-o", "type=tar,dest=-", str(context)]
    with subprocess.Popen(words, env=desk.env, stdout=pipe, stderr=pipe) as build:
        assert "context canceled" in interrupted(build, b"sending tarball")
    os.mkfifo(tmp_path / "fifo")
    words[words.index("type=tar,dest=-")] = f"type=tar,dest={tmp_path}/fifo"
    with subprocess.Popen(words, env=desk.env, stderr=pipe) as build:
        assert "context canceled" in interrupted(build, b"sending tarball")


def unread(pipe: IO[bytes]) -> int:
    """How much of what was written to it nobody has taken."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize(
    "words", [["build", "-"], ["build", "-f", "-", "."], ["cache-mount", "import", "-"]]
)
def test_an_interrupted_command_waits_for_no_input(desk: Sandbox, words: list[str]) -> None:
    """The rest of which is to come from a pipe whose other end says nothing more."""
    command: list[str | Path] = [CROZE, *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=desk.env, stdin=pipe, stderr=pipe) as build:
        assert build.stdin is not None
        build.stdin.write(b"FROM scratch\n")
        build.stdin.flush()
        stdin = build.stdin
        eventually(lambda: not unread(stdin), process=build)
        build.send_signal(signal.SIGINT)
        assert build.wait(PATIENCE_S) == 130


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_that_are_closed(desk: Sandbox, closed: str) -> None:
    context = desk.context("closed", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    out = desk.path / f"out{len(closed)}"
    command = f'"{CROZE}" build -o "{out}" "{context}" {closed}'
    execute(["sh", "-c", command], desk.env)
    assert (out / "Dockerfile").is_file()


NAME = "d" * 200
DEEP = f"for i in $(seq 30); do mkdir {NAME} && cd {NAME} || exit 0; done"
"""Until the path is too long for the shell."""


def test_trees_deeper_than_any_path(sandbox: Sandbox, busybox: Path) -> None:
    """Whoever makes them can't export them; everybody else can look at the cache, and empty it."""
    mount = "--mount=type=cache,target=/c"
    text = f"FROM base\nRUN {mount} cd /c; {DEEP}\nRUN cd /tmp; {DEEP}\n"
    context = sandbox.context("deep", {"Dockerfile": text})
    failed = sandbox.croze("build", *base(busybox), "-t", "deep", context, check=False)
    assert failed.code == 1
    assert "file name too long" in failed.stderr
    assert "exec.cachemount" in sandbox.croze("du", "--verbose").stdout
    sandbox.croze("prune", "--all", "--force")
    assert "exec.cachemount" not in sandbox.croze("du", "--verbose").stdout
    assert len(list((sandbox.root / "snapshots").iterdir())) <= 1
    sandbox.stop()
    assert list((sandbox.root / "trash").iterdir()) == [], "emptied directories stay till then"
