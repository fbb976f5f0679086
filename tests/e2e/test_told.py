"""The same is told of a build as BuildKit tells.

`peer/told.json` is what a real `buildkitd` told of these builds; where one is at hand it is asked
again (`CROZE_RECORD=1` keeps what it says).
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.peers import RECORDS, Client, World, read_member
from tests.e2e.sandbox import execute

RECORD = RECORDS / "told.json"
BASE = """
FROM base AS one
RUN --network=none echo one > /made
WORKDIR /work
"""
CASES: dict[str, tuple[str, list[str]]] = {
    "max": (BASE + "FROM scratch\nCOPY --from=one /made /\nCOPY given /\n", ["--build-arg=A=<b>"]),
    "min": (
        BASE + "LABEL a=b\n",
        [
            "--provenance=mode=min,builder-id=https://example.com/b",
            "--build-arg=A=b",
            "--label=c=d",
        ],
    ),
    "old": (BASE, ["--provenance=mode=max,version=v0.2,reproducible=true", "--no-cache"]),
    "old-min": (BASE, ["--provenance=mode=min,version=v0.2", "--target=one"]),
    "platforms": (
        "FROM scratch\nARG TARGETARCH\nCOPY given /$TARGETARCH\n",
        ["--platform=linux/amd64,linux/arm64"],
    ),
    "mounts": (
        "FROM base\nRUN --network=none --mount=type=secret,id=b --mount=type=secret,id=a,env=A "
        "--mount=type=ssh --mount=type=cache,target=/c --mount=type=tmpfs,target=/t true\n",
        ["--secret=id=a,env=HOME"],
    ),
    "texts": (
        "FROM base\nCOPY --chown=1:2 --chmod=644 <<EOF /x\nh\nEOF\nRUN --network=none <<EOF\ntrue\n"
        "EOF\nCOPY --link given /l\n",
        ["--build-arg=SOURCE_DATE_EPOCH=1600000000"],
    ),
    "empty": ("FROM scratch\n", []),
}
"""The Dockerfile and what is asked besides."""


@pytest.mark.parametrize("name", CASES)
def test_provenance_tells_what_buildkits_does(world: World, tmp_path: Path, name: str) -> None:
    dockerfile, words = CASES[name]
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(dockerfile)
    (context / "given").write_text("1")
    flags = [*world.base, *(words if any("provenance" in w for w in words) else [MAX, *words])]
    recorded = json.loads(RECORD.read_bytes()) if RECORD.exists() else {}
    if world.theirs is not None:
        theirs = told(world.theirs, tmp_path, [*flags, str(context)])
        if os.environ.get("CROZE_RECORD"):
            RECORD.write_text(json.dumps({**recorded, name: theirs}, sort_keys=True) + "\n")
        recorded[name] = theirs
    # The same client: ours asks in another way, which is told, too.
    _, stock = world.ours
    assert told(stock, tmp_path, [*flags, str(context)]) == recorded[name]


MAX = "--provenance=mode=max"


def told(client: Client, folder: Path, words: list[str]) -> list[Any]:
    """All statements of an image, without what no two builds have in common."""
    target = folder / f"{client.name}.tar"
    output = f"type=oci,dest={target},name=example.com/app:1"
    execute([*client.command, "build", "-o", output, *words], client.env)
    with tarfile.open(target) as archive:

        def blob(digest: str) -> Any:
            name = "blobs/sha256/" + digest.removeprefix("sha256:")
            return json.loads(read_member(archive, name))

        index = json.loads(read_member(archive, "index.json"))
        image = blob(index["manifests"][0]["digest"])
        attached = [
            blob(each["digest"])
            for each in image.get("manifests", [])
            if each["platform"]["os"] == "unknown"
        ]
        layers = [layer for each in attached for layer in each["layers"]]
        return [plain(blob(layer["digest"])) for layer in layers]


LAYOUT = re.compile(r"^(oci-layout://|pkg:oci/)[^@?]+")
"""Buildx gives a layout another name each time."""
DIGEST = re.compile(r"[0-9a-f]{64}")
"""The base image is made of what busybox the machine has."""
IDS = frozenset(
    {
        *("invocationId", "startedOn", "finishedOn"),
        *("buildInvocationID", "buildStartedOn", "buildFinishedOn"),
        *("oci.session", "oci.store", "context:base", "dockerfileVersion"),
    }
)


def plain(value: Any, key: str = "") -> Any:
    """Objects as lists of pairs, as their order counts too. How well layers are packed does not."""
    if key in IDS:
        return "ID"
    if key == "subject":
        return [each["name"] for each in value]
    if key == "digestMapping":
        return sorted(value.values())
    if key == "layers":
        return {step: [[each["mediaType"] for each in c] for c in value[step]] for step in value}
    if isinstance(value, dict):
        return [[name, plain(each, name)] for name, each in value.items()]
    if isinstance(value, str):
        return DIGEST.sub("HEX", LAYOUT.sub(r"\1ID", value))
    return [plain(each) for each in value] if isinstance(value, list) else value
