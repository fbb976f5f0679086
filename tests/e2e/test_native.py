"""Builds on the native snapshotter, where overlayfs is missing or not wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.fs.mount import unmount
from croze.store.contract import MountSpec
from croze.store.mount import mount
from tests.e2e.sandbox import Sandbox

# A change to a hard link is left out: overlayfs copies it up alone, which breaks the link.
DOCKERFILE = """\
FROM busybox AS made
RUN mkdir -p /d/old /keep && touch /d/a /d/b && ln /d/a /d/hard && ln -s a /d/soft && chown 5:6 /d/a
RUN rm -r /d/old && mv /d/b /d/moved && chmod 4755 /d/moved
RUN --mount=type=cache,target=/c echo 1 > /c/x && rm -r /keep && mkdir /keep && touch /keep/new
FROM busybox AS other
WORKDIR /w
COPY --link Dockerfile /linked/
COPY --from=made --chown=7:8 /d /w/
ADD --link --chmod=600 Dockerfile /linked/secret
FROM made
COPY --from=other /linked /linked
RUN --mount=from=other,source=/w,target=/m test -u /m/moved && cp -a /m/. /copied && rm /d/soft
"""


def digest(sandbox: Sandbox, busybox: Path) -> str:
    """Of the image, which has times of its own nowhere."""
    context = sandbox.context("small", {"Dockerfile": DOCKERFILE})
    output = f"type=oci,rewrite-timestamp=true,dest={sandbox.path}/image.tar"
    words = ["--build-context", f"busybox=oci-layout://{busybox}", "-o", output]
    words += ["--build-arg", "SOURCE_DATE_EPOCH=1700000000"]
    words += ["--metadata-file", str(sandbox.path / "metadata.json")]
    sandbox.croze("build", *words, context)
    metadata = json.loads((sandbox.path / "metadata.json").read_text())
    found: str = metadata["containerimage.digest"]
    return found


def test_the_image_is_the_same_as_on_overlayfs(
    stopped: Sandbox, sandbox: Sandbox, busybox: Path
) -> None:
    stopped.start("--oci-worker-snapshotter=native")
    assert digest(stopped, busybox) == digest(sandbox, busybox)
    assert "auto snapshotter: using overlayfs" in sandbox.log_text()
    assert "CACHED" in build_again(stopped, busybox)


def build_again(sandbox: Sandbox, busybox: Path) -> str:
    named = f"busybox=oci-layout://{busybox}"
    context = sandbox.path / "contexts/small"
    return sandbox.croze("build", "--progress=plain", "--build-context", named, context).output


@pytest.fixture
def no_overlays_here(tmp_path: Path) -> Iterator[Path]:
    """A folder on overlayfs: what is written there can't be the upper of another overlay."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    options = tuple(f"{name}dir={tmp_path}/{name}" for name in ("lower", "upper", "work"))
    mount(MountSpec("overlay", "overlay", options), tmp_path / "merged")
    yield tmp_path / "merged"
    unmount(tmp_path / "merged")


def test_it_is_what_auto_falls_back_to(stopped: Sandbox, no_overlays_here: Path) -> None:
    stopped.start("--root", str(no_overlays_here / "root"))
    assert "auto snapshotter: using native" in stopped.log_text()
    context = stopped.context("small", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    stopped.croze("build", "-o", stopped.path / "out", context)
    assert (stopped.path / "out/Dockerfile").exists()
