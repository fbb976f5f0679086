"""Corners where a build's result was once another than BuildKit's.

`peer/corners.json` is what a real `buildkitd` made; where one is at hand it is asked again.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.e2e.peers import EPOCH_S, World, check, write

FROM = b"FROM base\n"
SCRATCH = b"FROM scratch\n"
CASES = {
    "mount points' parents": b"RUN --mount=type=cache,target=/a/b/c touch /a/b/x",
    "mount of a file": b"RUN --mount=type=bind,source=f,target=/p/q/f touch /p/x /p/q/x",
    "add below a new link": b"ADD link.tar /",
    "add below a link of the image": b"RUN ln -s missing /dl\nADD below.tar /",
    "add below a link to elsewhere": b"RUN ln -s /tmp /dl\nADD below.tar /",
    "add a link's parents": b"ADD deep.tar /s/",
    "add below a file": b"ADD file.tar /s/",
    "add a file for a directory": b"ADD swap.tar /s/",
    "owner of no group": SCRATCH + b"COPY --chown=1:nogroup f /",
    "owner of no passwd": SCRATCH + b"COPY --chown=app f /",
    "owner is but a group": SCRATCH + b"COPY --chown=:app f /",
    "owner of a heredoc": SCRATCH + b"COPY --chown=1:nogroup <<E /x\n1\nE",
    "owner is not in passwd": b"COPY --chown=nope:nope f /",
    "link to a lower layer's file": b"RUN mkdir /w && echo 1 > /w/a\nRUN ln /w/a /w/hl",
    "links to a lower layer's links": b"RUN echo 1 > /a && ln /a /b\nRUN ln /a /c && chmod 600 /b",
    "link to a copied file": b"COPY f /w/a\nRUN ln /w/a /w/hl && ln /w/hl /w/h2",
    "parents made on the way": b"COPY --parents d*/e /w",
}
KINDS = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE}


def archive(*members: tuple[str, str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for kind, name, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mtime = KINDS[kind], link, EPOCH_S
            info.mode = 0o755 if kind == "d" else 0o644
            made.addfile(info)
    return out.getvalue()


ARCHIVES = {
    b"link.tar": archive(("l", "l", "nowhere"), ("f", "l/f", "")),
    b"below.tar": archive(("f", "dl/f", "")),
    b"deep.tar": archive(("l", "l", "nowhere/deeper"), ("f", "l/a/f", "")),
    b"file.tar": archive(("f", "f", ""), ("f", "f/g", "")),
    b"swap.tar": archive(("d", "f", ""), ("f", "f/x", ""), ("f", "f", "")),
}


@pytest.mark.parametrize("name", CASES)
def test_corners_are_built_as_buildkit_does(world: World, tmp_path: Path, name: str) -> None:
    files = {b"Dockerfile": FROM + CASES[name] + b"\n", b"f": b"1", b"d1/e/x": b"2", **ARCHIVES}
    context = write(tmp_path / name.replace(" ", "-"), files)
    check(world, "corners", name, tmp_path, context)
