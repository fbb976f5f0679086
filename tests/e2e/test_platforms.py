"""Several platforms at once, dates that can be repeated, and the names progress shows."""

from __future__ import annotations

import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox, execute

CROSS = """\
FROM --platform=$BUILDPLATFORM base AS build
ARG BUILDPLATFORM BUILDOS BUILDARCH TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT TARGETSTAGE
RUN echo "$BUILDPLATFORM $BUILDOS $BUILDARCH" > /out
RUN echo "$TARGETPLATFORM $TARGETOS $TARGETARCH ${TARGETVARIANT:-none} $TARGETSTAGE" >> /out
FROM scratch
COPY --from=build /out /out
"""
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")


@pytest.fixture
def cross(desk: Sandbox) -> Path:
    return desk.context("cross", {"Dockerfile": CROSS})


def inspect(*words: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(execute(["skopeo", "inspect", *words], os.environ).stdout)
    return found


def test_one_image_per_platform(
    desk: Sandbox, busybox: Path, cross: Path, local_registry: str
) -> None:
    name = f"{local_registry}/platforms/app:1"
    flags = ["--platform", ",".join(PLATFORMS), "-t", name, "--push", "--progress=plain"]
    said = desk.croze("build", *base(busybox), *flags, cross).stderr
    assert "[linux/amd64->arm64 build 1/3] RUN" in said
    assert "[linux/amd64 build 1/3] RUN" in said
    assert "[linux/arm/v7 stage-1 1/1] COPY" in said
    image = f"docker://{name}"
    index = inspect("--raw", "--tls-verify=false", image)
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    for platform in PLATFORMS:
        _, arch, variant = f"{platform}/".split("/")[:3]
        choice = [f"--override-arch={arch}", *([f"--override-variant={variant}"] * bool(variant))]
        config = inspect("--config", "--tls-verify=false", *choice, image)
        assert (config["architecture"], config.get("variant", "")) == (arch, variant)


def test_a_folder_and_an_archive_per_platform(
    desk: Sandbox, busybox: Path, cross: Path, tmp_path: Path
) -> None:
    archive, out = tmp_path / "app.tar", tmp_path / "out"
    flags = ["--platform", ",".join(PLATFORMS)]
    desk.croze("build", *base(busybox), *flags, "-o", f"type=local,dest={out}", cross)
    desk.croze("build", *base(busybox), *flags, "-o", f"type=oci,dest={archive}", cross)
    for platform in PLATFORMS:
        _, arch, variant = f"{platform}/".split("/")[:3]
        text = (out / platform.replace("/", "_") / "out").read_text()
        assert text.splitlines() == [
            "linux/amd64 linux amd64",
            f"{platform} linux {arch} {variant or 'none'} default",
        ]
        copied = tmp_path / f"{arch}{variant}"
        choice = [f"--override-arch={arch}", *([f"--override-variant={variant}"] * bool(variant))]
        copy = ["skopeo", "--insecure-policy", *choice, "copy", f"oci-archive:{archive}"]
        execute([*copy, f"dir:{copied}"], os.environ)


def test_a_docker_archive_holds_one_platform(
    desk: Sandbox, busybox: Path, cross: Path, tmp_path: Path
) -> None:
    flags = ["--platform", "linux/amd64,linux/arm64", "-o", f"type=docker,dest={tmp_path}/x"]
    done = desk.croze("build", *base(busybox), *flags, cross, check=False)
    assert "docker exporter does not support exporting manifest lists" in done.stderr


def test_foreign_programs_without_an_emulator(desk: Sandbox, tmp_path: Path) -> None:
    """One line that says it, not the OCI runtime's JSON."""
    layout = tmp_path / "layout"
    shell = bytearray(images.busybox().read_bytes())
    shell[18:20] = (22).to_bytes(2, "little")  # ELF's e_machine: IBM S/390
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").write_bytes(shell)
    (tmp_path / "bin/sh").chmod(0o755)
    with tarfile.open(tmp_path / "layer.tar", "w") as archive:
        archive.add(tmp_path / "bin", "bin")
    digest = images.write_layout(layout, [(tmp_path / "layer.tar").read_bytes()], {})
    context = desk.context("foreign", {"Dockerfile": "FROM far\nRUN echo never\n"})
    flags = [f"--build-context=far=oci-layout://{layout}@{digest}", "--platform=linux/s390x"]
    done = desk.croze("build", *flags, "--progress=plain", context, check=False)
    assert done.code == 1
    assert re.search(r"^#\d+ [0-9.]+ exec /bin/sh: exec format error$", done.stderr, re.MULTILINE)
    assert "exit code: 1: this machine can't run linux/s390x programs" in done.stderr
    assert '"msg"' not in done.stderr


REPEATED = """\
FROM base
RUN mkdir /dir && echo now > /dir/f && ln -s f /dir/l
COPY a /a
WORKDIR /w
ARG SOURCE_DATE_EPOCH
RUN echo $SOURCE_DATE_EPOCH > /epoch
"""


def test_source_date_epoch_makes_builds_equal(
    desk: Sandbox, busybox: Path, local_registry: str, tmp_path: Path
) -> None:
    context = desk.context("repeated", {"Dockerfile": REPEATED, "a": "x"})
    name = f"{local_registry}/repeated/app"
    digests = set()
    for attempt in range(2):
        (context / "a").touch()
        metadata = tmp_path / "metadata.json"
        output = f"type=image,name={name}:{attempt},push=true,rewrite-timestamp=true"
        flags: list[str | Path] = ["--no-cache", "-o", output, "--metadata-file", metadata]
        environment = {"SOURCE_DATE_EPOCH": "1600000000"}
        desk.croze("build", *base(busybox), *flags, context, env=environment)
        digests.add(json.loads(metadata.read_text())["containerimage.digest"])
        desk.croze("prune", "-a", "-f")
    assert len(digests) == 1
    config = inspect("--config", "--tls-verify=false", f"docker://{name}:0")
    assert config["created"] == "2020-09-13T12:26:40Z"


NAMED = """\
FROM base AS build
WORKDIR /src
RUN echo 1 > a
FROM base
COPY --from=build /src/a /a
COPY --link file /f
RUN --mount=type=secret,id=x,env=TOKEN true $TOKEN
ADD <<EOF /z
q
EOF
"""
NAMES = [
    "[internal] load build definition from Dockerfile",
    "[internal] load .dockerignore",
    "[context base] load metadata for docker.io/library/base@sha256:…",
    "[context base] OCI load from client",
    "[internal] load build context",
    "[internal] preparing inline document",
    "[build 1/3] WORKDIR /src",
    "[build 2/3] RUN echo 1 > a",
    "[stage-1 1/5] COPY --from=build /src/a /a",
    "[stage-1 2/5] COPY --link file /f",
    "[stage-1 3/5] RUN --mount=type=secret,id=x,env=TOKEN true ****",
    "[stage-1 4/5] ADD <<EOF /z",
]


def test_names_of_steps(desk: Sandbox, busybox: Path) -> None:
    context = desk.context("named", {"Dockerfile": NAMED, "file": ""})
    flags = ["--progress=plain", "-o", "type=cacheonly"]
    said = desk.croze("build", *base(busybox), *flags, context).stderr
    names = set(re.findall(r"^#\d+ (\[.*)$", said, re.MULTILINE))
    assert {re.sub(r"sha256:\w+", "sha256:…", name) for name in names} == set(NAMES)
