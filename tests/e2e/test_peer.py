"""The same images as a real BuildKit makes: the one in Debian's dockerd, where it is installed.

It is from 2020, so what BuildKit says differently since then is set aside below, and nothing else.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.app import base
from tests.e2e.dockerd import own_dockerd
from tests.e2e.sandbox import BUILDX, Sandbox, execute

PEER = Path(__file__).with_name("peer")
pytestmark = pytest.mark.skipif(shutil.which("dockerd") is None, reason="no dockerd")


@pytest.fixture(scope="module")
def docker_host(tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> Iterator[str]:
    """A dockerd of our own that knows the image `base`."""
    folder = tmp_path_factory.mktemp("dockerd")
    with own_dockerd(folder) as host:
        archive = folder / "base.tar"
        copy = ["skopeo", "--insecure-policy", "copy", f"oci:{busybox}:latest"]
        subprocess.run([*copy, f"docker-archive:{archive}:base:latest"], check=True)
        subprocess.run(["docker", "-H", host, "load", "-i", archive], check=True)
        yield host


@pytest.fixture(scope="module")
def context(desk: Sandbox) -> Path:
    texts = {"one": "1\n", "dir/two": "2\n", "dir/deep/three": "3\n", "sp ace/f [1].txt": "s\n"}
    hidden = {"ignored.txt": "x", "igdir/keep/k": "1\n", "igdir/drop": "2\n"}
    made = desk.context("peer", {**texts, **hidden, "modes/suid": "m\n", "modes/none": "n\n"})
    for link, target in {"slink": "one", "dir/inner": "two", "loops/todir": "../dir"}.items():
        (made / link).parent.mkdir(exist_ok=True)
        (made / link).symlink_to(target)
    for name in ("empty", "modes/sticky"):
        (made / name).mkdir()
    for name, mode in {"one": 0o640, "modes/suid": 0o4711, "modes/none": 0}.items():
        (made / name).chmod(mode)
    (made / "modes/sticky").chmod(0o1770)
    for name in ("a.tgz", "t.tar"):
        _archive(made / name)
    return made


def _archive(path: Path) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        for name, kind, mode, link in [
            ("d", tarfile.DIRTYPE, 0o2755, ""),
            ("d/f", tarfile.REGTYPE, 0o640, ""),
            ("d/hard", tarfile.LNKTYPE, 0o640, "d/f"),
            ("d/sym", tarfile.SYMTYPE, 0o777, "f"),
            ("abs", tarfile.SYMTYPE, 0o777, "/etc/passwd"),
            ("fifo", tarfile.FIFOTYPE, 0o600, ""),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.linkname, info.uid, info.gid = kind, mode, link, 5, 6
            archive.addfile(info)


def image(path: Path) -> tuple[dict[str, Any], list[dict[str, object]]]:
    """The config and the layers' members of a `docker save` archive."""
    with tarfile.open(path) as archive:

        def read(name: str) -> bytes:
            member = archive.extractfile(name)
            assert member is not None
            return member.read()

        (manifest,) = json.loads(read("manifest.json"))
        layers = []
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(read(name))) as layer:
                layers.append(_members(layer))
        return json.loads(read(manifest["Config"])), layers


def _members(layer: tarfile.TarFile) -> dict[str, object]:
    found: dict[str, object] = {}
    for m in layer:
        mode = 0 if "/.wh." in f"/{m.name}" else m.mode & 0o7777
        found[m.name] = (m.type, oct(mode), m.uid, m.gid, m.linkname, m.size if m.isreg() else 0)
    # RUN left its mount points behind then, and touched /etc for them.
    return {k: v for k, v in found.items() if k not in ("etc", "c")}


def config(found: dict[str, Any]) -> dict[str, Any]:
    """Without times, and with today's words in the history."""
    history = [{**entry, "created": ""} for entry in found["history"]]
    for entry in history:
        entry["created_by"] = _today(entry["created_by"])
    settings = {k: v for k, v in found["config"].items() if v is not None}
    return {**found, "config": settings, "history": history, "created": "", "rootfs": ""}


def _today(line: str) -> str:
    """--chown and --chmod, values of arguments and the forms of Go values are written since."""
    line = re.sub(r"^(COPY|ADD) (--\w+=\S+ )+", r"\1 ", line)
    line = re.sub(r"^ARG (\w+)=.*", r"ARG \1", line)
    line = re.sub(r"^HEALTHCHECK .*", "HEALTHCHECK", line)
    if line.startswith("EXPOSE "):
        return " ".join(["EXPOSE", *re.findall(r"\d+/\w+", line)])
    return line


@pytest.mark.parametrize("name", sorted(p.stem for p in PEER.glob("*.Dockerfile")))
def test_the_same_image(
    desk: Sandbox, busybox: Path, docker_host: str, context: Path, tmp_path: Path, name: str
) -> None:
    theirs, ours = tmp_path / "theirs.tar", tmp_path / "ours.tar"
    args = [f"--build-arg={arg}" for arg in ("HTTP_PROXY=http://p", "Q=q", "X=given")]
    words: list[str | Path] = [*args, "-f", PEER / f"{name}.Dockerfile", context]
    env = {**desk.env, "DOCKER_HOST": docker_host}
    peer: list[str | Path] = [
        BUILDX["trixie"],
        "--builder",
        "default",
        "build",
        "--network=host",
        "--load",
    ]
    execute([*peer, "-t", name, *words], env)
    execute(["docker", "save", name, "-o", theirs], env)
    desk.croze("build", *base(busybox), "-o", f"type=docker,dest={ours},name={name}", *words)
    their_config, their_layers = image(theirs)
    our_config, our_layers = image(ours)
    assert config(our_config) == config(their_config)
    assert our_layers == their_layers


def test_croze_builds_in_the_engine(docker_host: str, sandbox: Sandbox) -> None:
    """The `docker` driver: the engine's builder, behind its own socket."""
    env = {"DOCKER_HOST": docker_host}
    context = sandbox.context("engine", {"Dockerfile": "FROM base\nRUN echo hi > /hi\n"})
    listed = sandbox.croze("ls", env=env).stdout
    assert re.search(r"^default +docker", listed, re.MULTILINE)
    assert re.search(r"default +\\_ default +running", listed)
    built = ("--builder", "default", "build", "--network", "host", context)
    sandbox.croze(*built, "-t", "made-by-croze", env=env)
    images = subprocess.run(
        ["docker", "-H", docker_host, "images", "-q", "made-by-croze"],
        capture_output=True,
        check=True,
    )
    assert images.stdout.strip()
    out = sandbox.path / "engine-out"
    sandbox.croze(*built, "-o", out, env=env)
    assert (out / "hi").read_text() == "hi\n"


def test_an_engine_that_is_not_there(sandbox: Sandbox) -> None:
    context = sandbox.context("engine", {"Dockerfile": "FROM scratch\n"})
    env = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    failed = sandbox.croze("--builder", "default", "build", context, env=env, check=False)
    assert failed.code == 1
    assert "Cannot connect to the Docker daemon at unix:///nonexistent/docker.sock" in failed.stderr
