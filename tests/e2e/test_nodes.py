"""One build over the nodes of a builder: the same commands by croze and by Debian's buildx."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.sandbox import BUILDX, CROZE, Done, Sandbox, execute, registry
from tests.support.waiting import eventually

BOTH = "linux/amd64,linux/arm64"
PLAIN = "FROM scratch\nARG TARGETPLATFORM\nCOPY f /f\nLABEL platform=$TARGETPLATFORM\n"


@dataclass
class Pair:
    """Two daemons as nodes of the builder `pair`, one for each platform; a registry."""

    amd: Sandbox
    arm: Sandbox
    registry: str

    def croze(self, *words: str | Path, check: bool = True, stdin: bytes | None = None) -> Done:
        return self.amd.croze("--builder", "pair", *words, check=check, stdin=stdin)

    def buildx(self, *words: str | Path, check: bool = True) -> Done:
        command = [BUILDX["sid"], "--builder", "pair", *words]
        return execute(command, self.amd.env, check=check)

    def running(self, node: Sandbox) -> int:
        said = node.croze(
            "history", "ls", "--format", "{{.Status}}", env={"CROZE_HOST": node.address}
        )
        return said.stdout.split().count("Running")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    amd, arm = Sandbox(folder / "amd"), Sandbox(folder / "arm")
    amd.path.mkdir()
    arm.path.mkdir()
    with registry(folder / "registry") as host, amd.running(), arm.running():
        create = ["create", "--driver", "remote", "--name", "pair"]
        amd.croze(*create, "--node", "amd", "--platform", "linux/amd64", amd.address)
        amd.croze(*create, "--append", "--node", "arm", "--platform", "linux/arm64", arm.address)
        yield Pair(amd, arm, host)


@pytest.fixture
def context(pair: Pair) -> Path:
    return pair.amd.context("plain", {"Dockerfile": PLAIN, "f": "x"})


def test_one_image_of_two_nodes(pair: Pair, context: Path, tmp_path: Path) -> None:
    """Pushed by digest, and put under its names at the end: byte for byte what buildx makes."""
    told = {}
    for client in (pair.croze, pair.buildx):
        name = f"{pair.registry}/both:1"
        client(
            *("build", "--platform", BOTH, "--push", "-t", name, "-t", f"{pair.registry}/more:2"),
            *("--metadata-file", tmp_path / "meta", "--iidfile", tmp_path / "iid"),
            *("--annotation", "index:who=we", "--annotation", "manifest:what=it"),
            *("--provenance", "mode=min", context),
        )
        meta = json.loads((tmp_path / "meta").read_text())
        assert (tmp_path / "iid").read_text() == meta["containerimage.digest"]
        index = json.loads(pair.croze("imagetools", "inspect", "--raw", name).stdout)
        platforms = [one["platform"]["architecture"] for one in index["manifests"]]
        assert platforms == ["amd64", "unknown", "arm64", "unknown"]
        assert index["annotations"] == {"who": "we"}
        more = pair.croze("imagetools", "inspect", f"{pair.registry}/more:2").stdout
        assert meta["containerimage.digest"] in more
        images = [one["digest"] for one in index["manifests"] if "annotations" not in one]
        told[client.__name__] = (sorted(meta), images)
    assert told["croze"] == told["buildx"]


def test_files_of_two_nodes(pair: Pair, context: Path, tmp_path: Path) -> None:
    """Each node writes the folders of its platforms; standard input goes to each."""
    out = tmp_path / "out"
    pair.croze(
        *("build", "--platform", f"{BOTH},linux/riscv64", "-f", "-", "-o", out, context),
        stdin=PLAIN.replace("/f", "/g").encode(),
    )
    found = sorted(str(path.relative_to(out)) for path in out.rglob("g"))
    assert found == ["linux_amd64/g", "linux_arm64/g", "linux_riscv64/g"]


def test_a_platform_alone_is_its_nodes(pair: Pair, context: Path, tmp_path: Path) -> None:
    pair.croze("build", "--platform", "linux/arm64", "--metadata-file", tmp_path / "meta", context)
    meta = json.loads((tmp_path / "meta").read_text())
    assert meta["buildx.build.ref"].startswith("pair/arm/")
    ref = meta["buildx.build.ref"].rpartition("/")[2]
    state = json.loads((pair.amd.path / ".docker/buildx/refs/pair/arm" / ref).read_text())
    assert (state["Target"], state["LocalPath"]) == ("default", str(context))


@pytest.mark.parametrize(
    "words",
    [
        "-o type=oci,dest={out}",
        "-o type=tar,dest={out}",
        "--push",
    ],
)
def test_refusals_are_buildx_s(pair: Pair, context: Path, tmp_path: Path, words: str) -> None:
    command = ["build", "--progress=quiet", "--platform", BOTH]
    command += words.format(out=tmp_path / "out").split()
    ours = pair.croze(*command, context, check=False)
    assert not (tmp_path / "out").exists()
    theirs = pair.buildx(*command, context, check=False)
    assert ours.code == theirs.code == 1
    assert ours.stderr.strip().splitlines()[-1] == theirs.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("-o type=docker,dest={out}", "docker exporter does not support exporting manifest lists"),
        ("-o type=local,mode=delete,dest={out}", "would delete what the others wrote"),
    ],
)
def test_refusals_of_our_own(
    pair: Pair, context: Path, tmp_path: Path, words: str, why: str
) -> None:
    command = ["build", "--allow", "buildx.local.delete", "--platform", BOTH]
    command += words.format(out=tmp_path / "out").split()
    done = pair.croze(*command, context, check=False)
    assert done.code == 1
    assert why in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_node_that_fails_ends_the_others(pair: Pair) -> None:
    """The other one would wait for a server that never answers."""
    with _silent_server() as url:
        stages = f"FROM scratch AS arm64\nCOPY no /\nFROM scratch AS amd64\nADD {url} /\n"
        context = pair.amd.context("failing", {"Dockerfile": f"{stages}FROM $TARGETARCH\n"})
        done = pair.croze("build", "--platform", BOTH, context, check=False)
    assert done.code == 1
    assert '"/no": not found' in done.stderr
    assert pair.running(pair.amd) == 0


def test_bake_over_two_nodes(pair: Pair, context: Path, tmp_path: Path) -> None:
    """A target built on another is built on the nodes of that one."""
    bake = pair.amd.context("bake", {"f": "x", "Dockerfile": PLAIN, "docker-bake.hcl": """
target "base" { platforms = ["linux/amd64", "linux/arm64"] }
target "user" {
  platforms = ["linux/arm64"]
  contexts = { below = "target:base" }
  dockerfile-inline = "FROM below\\nCOPY f /g\\n"
  output = ["type=local,dest=out"]
}
target "lone" {
  platforms = ["linux/riscv64"]
  contexts = { below = "target:wrong" }
  dockerfile-inline = "FROM below"
}
target "wrong" { platforms = ["linux/arm64"] }
"""})  # fmt: skip
    meta = tmp_path / "meta"
    done = execute(
        [CROZE, "--builder", "pair", "bake", "--metadata-file", meta, "base", "user"],
        pair.amd.env,
        cwd=bake,
    )
    assert (bake / "out/g").exists()
    assert (bake / "out/f").exists()
    assert "[base linux/amd64 1/1] COPY f /f" in done.stderr
    told = json.loads(meta.read_text())
    assert told["user"]["buildx.build.ref"].startswith("pair/arm/")
    texts = []
    for binary in (CROZE, BUILDX["sid"]):
        words = ["--builder", "pair", "bake", "--progress=quiet", "lone"]
        failed = execute([binary, *words], pair.amd.env, cwd=bake, check=False)
        assert failed.code == 1
        texts.append(failed.stderr.strip().splitlines()[-1])
    assert texts[0] == texts[1]


def test_the_idlest_of_equals(pair: Pair, context: Path, tmp_path: Path) -> None:
    """`CROZE_NODE_CHOICE=least-loaded` counts the builds that daemons are at."""
    create = ["create", "--driver", "remote", "--name", "equals"]
    pair.amd.croze(*create, pair.amd.address)
    pair.amd.croze(*create, "--append", pair.arm.address)
    meta = tmp_path / "meta"
    build = ["--builder", "equals", "build", "--metadata-file", str(meta), str(context)]
    choice = {"CROZE_NODE_CHOICE": "least-loaded"}
    with _silent_server() as url:
        waiting = pair.amd.context("waiting", {"Dockerfile": f"FROM scratch\nADD {url} /\n"})
        busy = subprocess.Popen(
            [CROZE, "--builder", pair.amd.address, "build", waiting],
            env=pair.amd.env,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: pair.running(pair.amd), process=busy)
            assert _node(pair.amd.croze(*build, env=choice), meta) == "equals1"
            assert _node(pair.amd.croze(*build), meta) == "equals0"
        finally:
            busy.terminate()
            busy.wait()
    wrong = pair.amd.croze(*build, env={"CROZE_NODE_CHOICE": "idlest"}, check=False)
    assert "invalid choice of nodes idlest: use first or least-loaded" in wrong.stderr


def _node(_done: Done, meta: Path) -> str:
    ref: str = json.loads(meta.read_text())["buildx.build.ref"]
    return ref.split("/")[1]


@contextlib.contextmanager
def _silent_server() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/never"


def test_a_connection_goes_to_the_node_of_the_platform(pair: Pair, tmp_path: Path) -> None:
    """What a program named `ssh` carries here is what `dial-stdio` carries."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {CROZE} --builder pair dial-stdio --platform "$WANTED"\n')
    ssh.chmod(0o755)
    link = tmp_path / "buildctl"
    link.symlink_to(CROZE)
    env = {**pair.amd.env, "PATH": f"{tmp_path}:{pair.amd.env['PATH']}"}

    def builds(node: Sandbox) -> set[str]:
        history = [str(link), "--addr", node.address, "debug", "histories"]
        return {line.split()[1] for line in execute(history, env).stdout.splitlines()}

    def worker(address: str, platform: str = "") -> str:
        command = [str(link), "--addr", address, "debug", "workers", "--format", "{{json .}}"]
        told = execute(command, {**env, "WANTED": platform}).stdout
        id: str = json.loads(told)[0]["id"]
        return id

    assert worker("ssh://far", "linux/amd64") == worker(pair.amd.address)
    assert worker("ssh://far", "linux/arm64") == worker(pair.arm.address)
    context = pair.amd.context("far", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /far\n"})
    far = {**env, "WANTED": "linux/arm64", "BUILDKIT_HOST": "ssh://far"}
    out = tmp_path / "out"
    before = builds(pair.arm)
    execute([CROZE, "build", "--output", out, context], far)
    assert (out / "far").read_text().startswith("FROM scratch")
    assert len(builds(pair.arm) - before) == 1


def test_the_disks_of_all_nodes(pair: Pair, context: Path) -> None:
    """`du` and `prune` are of every node, as buildx's are."""
    pair.croze("build", "--platform", BOTH, context)
    command = ["du", "--format", "{{.ID}}", "--filter", "type=regular"]
    ours, theirs = pair.croze(*command), pair.buildx(*command)
    assert sorted(ours.stdout.split()) == sorted(theirs.stdout.split())
    assert len(ours.stdout.split()) >= 2
    pair.croze("prune", "--force", "--all")
    assert pair.buildx(*command).stdout.strip() == ""
