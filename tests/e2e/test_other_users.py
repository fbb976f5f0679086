"""A second user of the machine, beside a daemon: nothing of its state can be read, while what it
puts into images has the modes that it always had."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.fs.remove import remove_tree
from tests.e2e.sandbox import CROZE, Sandbox, execute
from tests.e2e.test_build import base

SECRET = "the-secret-of-this-test"
NOBODY = 65534
SEEN = 'while IFS= read -r path; do [ -r "$path" ] || [ -x "$path" ] && echo "$path"; done; true'


@pytest.fixture
def open_sandbox(busybox: Path) -> Iterator[Sandbox]:
    """Where everybody may pass, with a state directory that an earlier version has made."""
    folder = Path(tempfile.mkdtemp(prefix="open-"))
    folder.chmod(0o755)
    made = Sandbox(folder)
    made.root.mkdir()
    made.root.chmod(0o755)
    (made.root / "lock").touch()
    made.start()
    try:
        yield made
        if made.daemon is not None:
            assert made.stop() == 0, made.log_text()
        assert made.wait_no_leftovers() == []
        assert "Traceback" not in made.log_text(), made.log_text()
    finally:
        if made.daemon is not None:
            made.daemon.kill()
            made.daemon.wait()
        remove_tree(folder)


def state(sandbox: Sandbox, view: Path = Path("/")) -> list[Path]:
    """The state directory and all that is in it, as `view` has it."""
    root = view / sandbox.root.relative_to("/")
    return [root, *root.rglob("*")]


def seen_by_others(paths: list[Path]) -> list[str]:
    """Which of them another user can read, or enter."""
    done = subprocess.run(
        ["/bin/sh", "-c", SEEN],
        input="\n".join(map(str, paths)).encode(),
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().splitlines()


def test_the_state_directory_is_closed(open_sandbox: Sandbox, busybox: Path) -> None:
    script = "FROM base\nARG HIDDEN\nRUN echo $HIDDEN > /f\n"
    steps = "RUN --mount=type=secret,id=s,env=S --mount=type=secret,id=s echo up; sleep 100\n"
    context = open_sandbox.context("closed", {"Dockerfile": script + steps})
    words: list[str | Path] = [
        CROZE,
        "build",
        *base(busybox),
        "--progress",
        "plain",
        "--secret",
        "id=s,env=S",
    ]
    words += ["--build-arg", "HIDDEN=argument", str(context)]
    env = {**open_sandbox.env, "S": SECRET}
    with subprocess.Popen(words, env=env, stderr=subprocess.PIPE) as build:
        assert build.stderr is not None
        next(line for line in build.stderr if line.endswith(b" up\n"))
        try:
            check_bundle(open_sandbox)
            assert seen_by_others(state(open_sandbox)) == []
        finally:
            build.terminate()
            build.communicate(timeout=30)
    done = state(open_sandbox)
    assert len(done) > 20
    assert seen_by_others(done) == []
    assert {path for path in done if SECRET.encode() in content(path)} == set()


def check_bundle(sandbox: Sandbox) -> None:
    """What the step runs with is in memory, where only the daemon and its children see it."""
    assert sandbox.daemon is not None
    inside = Path(f"/proc/{sandbox.daemon.pid}/root")
    (config,) = (p for p in state(sandbox, inside) if p.match("bundle/*/config.json"))
    assert SECRET.encode() in content(config)
    assert config.stat().st_mode & 0o777 == 0o600
    on_disk = state(sandbox)
    assert "config.json" not in {p.name for p in on_disk}
    assert {p for p in on_disk if SECRET.encode() in content(p)} == set()


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def test_a_directory_with_other_things_is_not_closed(open_sandbox: Sandbox, tmp_path: Path) -> None:
    """`--root /var/lib` would take it away from everybody else."""
    shared = tmp_path / "shared"
    (shared / "other").mkdir(parents=True)
    shared.chmod(0o755)
    flags = ["--root", str(shared), "--addr", f"unix://{tmp_path}/x.sock"]
    words: list[str | Path] = [CROZE.with_name("crozed"), *flags]
    done = execute(words, open_sandbox.env, check=False)
    assert done.code == 1
    assert "holds files that are not a daemon's state" in done.stderr
    assert shared.stat().st_mode & 0o777 == 0o755


MODES = """
FROM scratch AS nothing
FROM scratch AS made
WORKDIR /w/x
COPY f /c/d/f
COPY --from=nothing / /empty
FROM base
WORKDIR /a/b
RUN umask > /umask; mkdir /m; touch /t
RUN --mount=type=tmpfs,target=/mp/deep touch /mp/kept
RUN --mount=type=cache,target=/cache ls -ld /cache > /cache-mode
COPY --from=made / /z/
ADD a.tar /ad/
USER 1000:1000
RUN cat /etc/hosts /etc/resolv.conf > /tmp/read
WORKDIR /own/dir
"""
EXPECTED = {
    **dict.fromkeys(("a", "a/b", "m", "z", "z/w", "z/w/x", "z/c", "z/c/d", "z/empty"), 0o755),
    **dict.fromkeys(("own", "own/dir", "ad", "ad/in"), 0o755),
    **dict.fromkeys(("t", "umask", "mp/kept", "z/c/d/f", "tmp/read", "ad/in/file"), 0o644),
}


def test_modes_in_images_are_what_they_were(desk: Sandbox, busybox: Path, tmp_path: Path) -> None:
    """The daemon's umask closes its own files, not those that it makes for others."""
    context = desk.context("modes", {"Dockerfile": MODES, "f": "x", "in/file": "x"})
    os.chmod(context / "f", 0o644)
    with tarfile.open(context / "a.tar", "w") as tar:
        member = tarfile.TarInfo("in/file")
        member.mode = 0o644
        tar.addfile(member)
    out = tmp_path / "out.tar"
    flags = ["--add-host", "peer:10.0.0.7", "-o", f"type=tar,dest={out}"]
    desk.croze("build", *base(busybox), *flags, context)
    with tarfile.open(out) as tar:
        modes = {m.name.rstrip("/"): m.mode for m in tar}
        said = {name: tar.extractfile(name) for name in ("umask", "cache-mode")}
        texts = {name: file.read().decode() for name, file in said.items() if file is not None}
    assert {name: oct(modes[name]) for name in EXPECTED} == {n: oct(m) for n, m in EXPECTED.items()}
    assert texts["umask"] == "0022\n"
    assert texts["cache-mode"].startswith("drwxr-xr-x")
