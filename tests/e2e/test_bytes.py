"""Bytes that are not UTF-8, in names, links, attributes, Dockerfiles and flags.

`peer/bytes.json` is what a real `buildkitd` made of the same; where one is at hand it is asked
again, and for random names besides. `CROZE_RECORD=1` writes the file anew.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.peers import EPOCH_S, Outcome, World, age, check, write
from tests.e2e.sandbox import Sandbox

SEED = int(os.environ.get("CROZE_SEED", "1")) or random.SystemRandom().randrange(1 << 30)
ROUNDS = int(os.environ.get("CROZE_FUZZ", "1")) * 2

FROM = b"FROM base\n"
DOCKERFILES = {
    "label": b"LABEL a=caf\xe9",
    "label-key": b"LABEL \xe9=1",
    "env": b"ENV A=caf\xe9",
    "env-and-run": b"ENV A=\xe9\nRUN echo $A",
    "arg": b"ARG X=\xe9\nLABEL a=$X",
    "cmd": b"CMD echo caf\xe9",
    "cmd-json": b'CMD ["caf\xe9"]',
    "run": b"RUN echo caf\xe9",
    "run-json": b'RUN ["echo","caf\xe9"]',
    "run-mount": b"RUN --mount=type=cache,target=/\xe9 true",
    "run-heredoc": b"RUN <<E\necho caf\xe9\nE",
    "comment": b"# caf\xe9\nLABEL x=y",
    "instruction": b"CAF\xe9 x",
    "flag": b"COPY --f\xe9=1 f /",
    "copy-source": b"COPY f\xe9 /",
    "copy-target": b"COPY f /f\xe9",
    "copy-heredoc": b"COPY <<E /x\ncaf\xe9\nE",
    "chown": b"COPY --chown=\xe9 f /",
    "add-url": b"ADD http://127.0.0.1:1/\xe9 /",
    "user": b"USER \xe9",
    "workdir": b"WORKDIR /\xe9",
    "expose": b"EXPOSE \xe9",
    "volume": b"VOLUME /\xe9",
    "onbuild": b"ONBUILD RUN echo \xe9",
    "stopsignal": b"STOPSIGNAL \xe9",
    "stage-name": b"FROM scratch AS \xe9",
    "stage-base": b"FROM b\xe9",
    "shell": b'SHELL ["\xe9"]',
    "healthcheck": b"HEALTHCHECK CMD echo \xe9",
    "maintainer": b"MAINTAINER J\xe9",
    "expansion": b"LABEL a=${\xe9}",
    "undefined": b"LABEL a=$X\xe9",
}
FLAGS: dict[str, tuple[bytes, Sequence[bytes]]] = {
    "label": (b"LABEL b=c", (b"--label", b"a=caf\xe9")),
    "build-arg": (b"ARG X\nLABEL b=$X", (b"--build-arg", b"X=caf\xe9")),
    "build-arg-run": (b"ARG X\nRUN echo $X", (b"--build-arg", b"X=caf\xe9")),
    "target": (b"LABEL a=b", (b"--target", b"\xe9")),
    "add-host": (b"RUN true", (b"--add-host", b"\xe9:1.2.3.4")),
    "no-cache-filter": (b"LABEL a=b", (b"--no-cache-filter", b"\xe9")),
    "annotation": (b"LABEL a=b", (b"--annotation", b"a=\xe9")),
    "tag": (b"LABEL a=b", (b"-t", b"a\xe9")),
}
STDIN = {
    "utf-16": "FROM scratch\nCOPY a b\n".encode("utf-16"),
    "utf-16-le": "FROM scratch\n".encode("utf-16-le"),
    "utf-32": b"".join([b"\xff\xfe\0\0", "FROM scratch\n".encode("utf-32-le")]),
    "latin-1": FROM + b"LABEL a=\xff\n",
    "zeros": b"\0" * 600,
    "high": bytes(range(128, 256)) * 4,
}
COPIES = {
    "all": b"COPY . /w/",
    "wildcard": b"COPY n* /w/",
    "directory": b"COPY d?/e /w/",
    "link": b"COPY to-d /w/",
    "parents": b"COPY --parents d*/e /w",
    "exclude": b"COPY --exclude=n* . /w/",
    "stage": b"COPY . /w/\nFROM base\nCOPY --from=0 /w/n* /x/",
    "run": b"COPY . /w/\nRUN cd /w && ls > /list && ln hard* h2 && cp -a n* /root && rm n* to-d",
    "bind": b"RUN --mount=target=/c ls /c/d* > /list",
}
NAMES = (
    b"n\xff1",
    b"n\xc3\xa9",
    b"n\xed\xa0\x80",
    b"nl\nx",
    b"n\xf4\x90\x80\x80",
    b"q\"'",
    b"b\\s",
)


def strange(folder: Path, dockerfile: bytes) -> str:
    """A context with names that are hard to bear."""
    files = dict.fromkeys(NAMES, b"x") | {b"d\xfe/e/\x80": b"y", b"Dockerfile": FROM + dockerfile}
    write(folder, files)
    root = os.fsencode(folder)
    os.symlink(b"t\xff", root + b"/dangling")
    os.symlink(b"d\xfe", root + b"/to-d")
    os.link(root + b"/n\xff1", root + b"/hard\xfd")
    os.setxattr(root + b"/b\\s", b"user.x\xff", b"v\xff")
    age(root)
    return str(folder)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_bytes_in_dockerfiles_are_as_buildkit_has_them(
    world: World, tmp_path: Path, name: str
) -> None:
    files = {b"Dockerfile": FROM + DOCKERFILES[name] + b"\n", b"f": b"1", b"f\xe9": b"2"}
    check(world, "bytes", f"dockerfile {name}", tmp_path, write(tmp_path / "c", files))


@pytest.mark.parametrize("name", FLAGS)
def test_bytes_in_flags_are_as_buildkit_has_them(world: World, tmp_path: Path, name: str) -> None:
    dockerfile, flags = FLAGS[name]
    context = write(tmp_path / "c", {b"Dockerfile": FROM + dockerfile + b"\n"})
    check(world, "bytes", f"flag {name}", tmp_path, *map(os.fsdecode, flags), context)


@pytest.mark.parametrize("name", COPIES)
def test_bytes_in_names_are_copied_as_buildkit_does(
    world: World, tmp_path: Path, name: str
) -> None:
    check(world, "bytes", f"names {name}", tmp_path, strange(tmp_path / "c", COPIES[name] + b"\n"))


def test_bytes_in_ignore_files_match_names(world: World, tmp_path: Path) -> None:
    files = {b"Dockerfile": FROM + b"COPY . /w/\n", b"g\xe9": b"1", b"h": b"2"}
    context = write(tmp_path / "c", {**files, b".dockerignore": b"g\xe9\nDockerfile\n"})
    check(world, "bytes", "dockerignore", tmp_path, context)


@pytest.mark.parametrize("name", STDIN)
def test_dockerfiles_on_stdin(world: World, tmp_path: Path, name: str) -> None:
    check(world, "bytes", f"stdin {name}", tmp_path, "-", stdin=STDIN[name])


def archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as made:
        for name, data in {b"Dockerfile": FROM + b"COPY n* /w/\n", b"n\xff": b"1"}.items():
            info = tarfile.TarInfo(os.fsdecode(name))
            info.size, info.mtime = len(data), EPOCH_S
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, zstd], ids=["gzip", "bzip2", "xz", "zstd"]
)
def test_archives_on_stdin(
    world: World, tmp_path: Path, request: pytest.FixtureRequest, pack: type[gzip.GzipFile]
) -> None:
    packed = pack(archive())
    assert isinstance(packed, bytes)
    check(world, "bytes", f"archive {request.node.callspec.id}", tmp_path, "-", stdin=packed)


def test_edits(world: World, tmp_path: Path) -> None:
    """Files come, go and change their names; the note on the cache miss names them."""
    context = strange(tmp_path / "c", b"COPY . /w/\nRUN ls /w\n")
    root = os.fsencode(context)
    check(world, "bytes", "edit 0", tmp_path, context)
    os.unlink(root + b"/n\xff1")
    check(world, "bytes", "edit removed", tmp_path, context)
    with open(root + b"/new\xf0", "wb") as file:
        file.write(b"1")
    age(root)
    check(world, "bytes", "edit added", tmp_path, context)
    os.rename(root + b"/d\xfe", root + b"/d\xfd")
    age(root)
    check(world, "bytes", "edit renamed", tmp_path, context)


def test_reasons_name_any_file(desk: Sandbox, busybox: Path, tmp_path: Path) -> None:
    context = write(tmp_path / "c", {b"Dockerfile": FROM + b"COPY . /w/\n", b"n\xff": b"1"})
    build = ["build", *base(busybox), context]
    desk.croze(*build)
    os.rename(os.fsencode(context) + b"/n\xff", os.fsencode(context) + b"/n\xfe")
    planned = desk.croze(*build, "--call=plan,format=json").stdout
    assert json.dumps("n\\xfe") in planned
    desk.croze(*build)
    why = desk.croze("why").stdout
    assert "n\\xfe" in why
    assert "n\\xff" in why
    assert json.loads(desk.croze("why", "--format=json").stdout)


def test_directories_of_any_name(desk: Sandbox, busybox: Path, tmp_path: Path) -> None:
    """Its name is part of the session's headers."""
    for name in (b"caf\xc3\xa9", b"caf\xe9 \x01"):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        write(folder, {b"Dockerfile": FROM + b"COPY f /\n", b"f": b"1"})
        desk.croze("build", *base(busybox), "-o", f"type=local,dest={tmp_path}/out", folder)
        assert (tmp_path / "out/f").read_bytes() == b"1"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_random_names(world: World, tmp_path: Path, number: int) -> None:
    """Whatever bytes, all make the same files: as an image, and as files at the client."""
    chance = random.Random(f"{SEED}/{number}")
    context = tmp_path / "c"
    write(context, {b"Dockerfile": FROM + b"COPY . /w/\n"})
    root = os.fsencode(context)
    for name in {random_name(chance) for _ in range(chance.randint(5, 25))}:
        target = os.path.join(root, name)
        match chance.randint(0, 3):
            case 0:
                os.symlink(random_name(chance), target)
            case 1:
                os.makedirs(os.path.join(target, random_name(chance)))
            case _:
                with open(target, "wb") as file:
                    file.write(name)
    age(root)
    clients = [*world.ours, *([world.theirs] if world.theirs else [])]
    for output in ("oci", "tar"):
        outcomes = [c.build(tmp_path, *world.base, str(context), output=output) for c in clients]
        same(outcomes, f"seed {SEED}, round {number}")
        names = {os.fsencode(str(found[0])) for found in outcomes[0].layers[-1]}
        assert {b"w/" + name for name in os.listdir(root)} <= names


def random_name(chance: random.Random) -> bytes:
    special = [
        b"\xff",
        b"\xc3\xa9",
        b"\xc3",
        b"\x80",
        b" ",
        b"\n",
        b"\\",
        b'"',
        b"*",
        b"a",
        b"\x7f",
    ]
    pieces = [*special, "\u2028".encode(), "\U0001f600".encode(), b"\xed\xb3\xa9", b"%41", b"="]
    return b"x" + b"".join(chance.choice(pieces) for _ in range(chance.randint(1, 8)))


def same(outcomes: Sequence[Outcome], what: str) -> None:
    first = outcomes[0]
    assert not first.error, f"{what}: {first.log}"
    for other in outcomes[1:]:
        assert other.as_json() == first.as_json(), f"{what}: {other.log}"
