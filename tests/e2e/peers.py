"""Daemons to compare with, and what came of a build in a form that can be compared.

A real `buildkitd` is one that `CROZE_BUILDKITD` names, or the one on the PATH.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.app import base
from tests.e2e.sandbox import BUILDX, CROZE, Sandbox, execute
from tests.support.waiting import PATIENCE_S, eventually

RECORDS = Path(__file__).with_name("peer")
EPOCH_S = 1_000_000_000
"""The time of every file that a test makes; what is newer was made by the build."""
BASE_FILE = "bin/busybox"
"""The layer with this file is the base image's: nobody's to compare."""


def buildkitd_binary() -> str | None:
    """The real thing, where one is at hand."""
    return os.environ.get("CROZE_BUILDKITD") or shutil.which("buildkitd")


@dataclass(frozen=True)
class Client:
    """A program that builds on one daemon: `command` up to the word `build`."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]

    def build(
        self, folder: Path, *words: str, output: str = "oci", stdin: bytes | None = None
    ) -> Outcome:
        """Build into an archive below `folder` and read what is in it."""
        target = folder / f"{self.name}.tar"
        target.unlink(missing_ok=True)
        command = [*self.command, "build", "--progress=plain", "-o", f"type={output},dest={target}"]
        done = execute([*command, *words], self.env, stdin=stdin, check=False)
        if done.code != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            return Outcome(error=without_ids(lines[-1] if lines else ""), log=done.stderr)
        found = read_image(target) if output == "oci" else Outcome(layers=[read_files(target)])
        found.log = done.stderr
        return found


def buildx(name: str, address: str, env: Mapping[str, str], suite: str = "sid") -> Client:
    """Debian's unmodified buildx with a builder of this name on the daemon."""
    binary = str(BUILDX[suite])
    execute([binary, "create", "--driver", "remote", "--name", name, address], env)
    return Client(name, (binary, "--builder", name), env)


@contextlib.contextmanager
def buildkitd(binary: str, folder: Path) -> Iterator[str]:
    """A real `buildkitd` with a root of its own; yields its address."""
    folder.mkdir(parents=True)
    address = f"unix://{folder}/buildkitd.sock"
    (folder / "buildkitd.toml").write_text("")
    config, root = folder / "buildkitd.toml", folder / "root"
    command = [binary, "--config", str(config), "--root", str(root)]
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen([*command, "--addr", address], stdout=log, stderr=log)
    try:
        log_text = (folder / "log").read_text
        eventually(lambda: "running server" in log_text(), log_text, process=daemon)
        yield address
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE_S)


@dataclass
class Outcome:
    """What a build made, or its error's last line. Times that the build made up are left out."""

    error: str = ""
    config: str = ""
    layers: Sequence[Sequence[list[object]]] = ()
    log: str = ""

    def as_json(self) -> dict[str, object]:
        if self.error:
            return {"error": self.error}
        found: object = json.loads(json.dumps(self.layers))
        return {"config": self.config, "layers": found}


def without_ids(line: str) -> str:
    """An error without names that differ from run to run."""
    return re.sub(r"checksum of ref \S+ ", "checksum of ref ID ", line)


def read_image(path: Path) -> Outcome:
    """The one image of an OCI archive."""
    with tarfile.open(path) as archive:

        def blob(digest: str) -> bytes:
            return read_member(archive, "blobs/sha256/" + digest.removeprefix("sha256:"))

        index = json.loads(read_member(archive, "index.json"))
        manifest = json.loads(blob(index["manifests"][0]["digest"]))
        layers = [read_layer(blob(layer["digest"])) for layer in manifest["layers"]]
        config = without_times(blob(manifest["config"]["digest"]))
    return Outcome(config=config, layers=[x for x in layers if all(e[0] != BASE_FILE for e in x)])


def without_times(config: bytes) -> str:
    """A config's bytes, but for what differs from build to build. Not parsed: how text is written
    counts."""
    text = config.decode("utf-8", "surrogateescape")
    text = re.sub(r'"created":"[^"]*"', '"created":""', text)
    return re.sub(r',?"rootfs":\{[^}]*\}', "", text)


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None, name
    return member.read()


def read_layer(data: bytes) -> list[list[object]]:
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as layer:
        return [entry(layer, member) for member in layer]


def read_files(path: Path) -> list[list[object]]:
    """The entries of a tar, by name."""
    return sorted(read_layer(path.read_bytes()), key=lambda found: str(found[0]))


def entry(layer: tarfile.TarFile, member: tarfile.TarInfo) -> list[object]:
    content: Any = layer.extractfile(member) if member.isreg() else None
    digest = hashlib.sha256(content.read()).hexdigest()[:16] if content is not None else ""
    xattrs = {k: v for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr.")}
    moment = member.mtime if member.mtime <= EPOCH_S else "new"
    mode, owner = oct(member.mode), f"{member.uid}:{member.gid}"
    kind = member.type.decode()
    return [member.name, kind, mode, owner, member.linkname, digest, moment, xattrs]


@dataclass(frozen=True)
class World:
    """Who builds: stock buildx and croze on crozed, and stock buildx on buildkitd, if there is."""

    ours: Sequence[Client]
    theirs: Client | None
    base: Sequence[str]


@contextlib.contextmanager
def opened_world(desk: Sandbox, busybox: Path, folder: Path) -> Iterator[World]:
    env = {**desk.env, "SOURCE_DATE_EPOCH": "0"}
    ours = [Client("croze", (str(CROZE),), env), buildx("ours", desk.address, env)]
    binary = buildkitd_binary()
    if binary is None:
        yield World(ours, None, base(busybox))
        return
    with buildkitd(binary, folder / "b") as address:
        yield World(ours, buildx("theirs", address, env), base(busybox))


def write(folder: Path, files: dict[bytes, bytes]) -> str:
    """A context, its files as old as each other."""
    root = os.fsencode(folder)
    for name, content in files.items():
        target = os.path.join(root, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)
    age(root)
    return str(folder)


def age(root: bytes) -> None:
    for directory, folders, files in os.walk(root, topdown=False):
        for name in (*files, *folders):
            path = os.path.join(directory, name)
            os.utime(path, (EPOCH_S, EPOCH_S), follow_symlinks=False)
    os.utime(root, (EPOCH_S, EPOCH_S))


def check(
    world: World, record: str, case: str, folder: Path, *words: str, stdin: bytes | None = None
) -> None:
    """All of ours make what BuildKit made (`peer/RECORD.json`), and makes where it is at hand.
    `CROZE_RECORD=1` writes the file anew."""
    file = RECORDS / f"{record}.json"
    recorded = json.loads(file.read_text()) if file.exists() else {}
    args = (*world.base, *words)
    if world.theirs is not None:
        found = world.theirs.build(folder, *args, stdin=stdin).as_json()
        if os.environ.get("CROZE_RECORD"):
            recorded[case] = found
            text = json.dumps(recorded, indent=1, sort_keys=True)
            file.write_text(text + "\n")
        assert found == recorded[case]
    for client in world.ours:
        made = client.build(folder, *args, stdin=stdin)
        assert made.as_json() == recorded[case], f"{client.name}:\n{made.log}"
