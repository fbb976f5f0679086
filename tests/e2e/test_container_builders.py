"""Builders in containers of a real Docker engine, driven by croze and by buildx in turn.

What a container is like, and what the commands say, is compared on an image whose daemon is a
shell script; builds run on Croze's own image.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.builders.contexts import DockerContext
from croze.builders.model import BuilderNode
from croze.drivers.container import ContainerDriver
from croze.drivers.contract import NodeStatus
from tests.conformance.drivers import check_driver
from tests.e2e import images, own_image
from tests.e2e.carrier import CARRIER
from tests.e2e.dockerd import own_dockerd
from tests.e2e.sandbox import BUILDX, CROZE, Done, Sandbox, execute

SUITE = "sid"
SHAM = "localhost/sham:1"
"""Its `buildkitd` sleeps, its `buildctl` says yes."""


class Engine:
    """A Docker engine, with the state of builders beside it."""

    def __init__(self, sandbox: Sandbox, host: str) -> None:
        self.sandbox = sandbox
        self.env = {**sandbox.env, "DOCKER_HOST": host}

    def docker(self, *words: str | Path, check: bool = True) -> Done:
        return execute(["docker", *words], self.env, check=check)

    def croze(self, *words: str | Path, check: bool = False) -> Done:
        return execute([CROZE, *words], self.env, check=check)

    def buildx(self, *words: str | Path, check: bool = False) -> Done:
        return execute([BUILDX[SUITE], *words], self.env, check=check)

    def run(self, tool: str, *words: str) -> Done:
        return self.croze(*words) if tool == "croze" else self.buildx(*words)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    sandbox = Sandbox(folder / "sandbox")
    sandbox.path.mkdir()
    with own_dockerd(tmp_path_factory.mktemp("dockerd")) as host:
        made = Engine(sandbox, host)
        layout = folder / "sham"
        programs = {"bin/buildkitd": "sleep 1000 & wait", "bin/buildctl": "true"}
        images.write_layout(
            layout, [images.busybox_layer(), images.scripts_layer(programs)], SHAM_CONFIG
        )
        words = ["skopeo", "--insecure-policy", "copy", f"oci:{layout}:latest"]
        execute([*words, f"docker-archive:{folder}/sham.tar:{SHAM}"], sandbox.env)
        made.docker("load", "-i", folder / "sham.tar")
        yield made
        containers = made.docker("ps", "-aq").stdout.split()
        if containers:
            made.docker("rm", "-f", *containers)


SHAM_CONFIG: dict[str, object] = {
    "Env": ["PATH=/bin"],
    "Entrypoint": ["/bin/sh", "/bin/buildkitd"],
    "Volumes": {"/var/lib/buildkit": {}},
}


def container(engine: Engine, name: str) -> dict[str, object]:
    """What the engine knows of a node's container, but for what differs from one to the next."""
    [found] = json.loads(engine.docker("inspect", f"buildx_buildkit_{name}").stdout)
    shown = {key: found[key] for key in ("Name", "Args", "HostConfig", "Config")}
    shown["Mounts"] = [{**mount, "Source": ""} for mount in found["Mounts"]]
    shown["Networks"] = list(found["NetworkSettings"]["Networks"])
    shown["Config"]["Hostname"] = ""
    shown["Config"]["Env"].sort()  # buildx has them in the order of Go's maps, which is none
    return shown


def files_in(engine: Engine, name: str) -> list[str]:
    """The node's settings, as they lie in its container."""
    show = "find /etc/buildkit | sort | xargs stat -c '%n %a %u'"
    show += "; find /etc/buildkit -name '*.pem' | xargs cat"
    return engine.docker("exec", f"buildx_buildkit_{name}", "sh", "-c", show).stdout.splitlines()


OPTIONS = {
    "plain": [],
    "limits": [
        *("--driver-opt", "memory=64m,memory-swap=128m,cpu-shares=512"),
        *("--driver-opt", "cpuset-cpus=0,cgroup-parent=/mine"),
        *("--driver-opt", '"env.LIST=a,b",env.EMPTY=,restart-policy=on-failure:3'),
        *("--buildkitd-flags", "--debug --allow-insecure-entitlement security.insecure"),
    ],
    "network": ["--driver-opt", "network=host,cpu-period=50000,cpu-quota=25000,memory-swap=-1"],
    "config": ["--buildkitd-config", "{config}"],
}


@pytest.mark.parametrize("options", OPTIONS)
def test_the_same_container(engine: Engine, options: str, tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text("a certificate\n")
    config = tmp_path / "settings.toml"
    config.write_text(
        f'debug = true\n[registry."reg.example:5000"]\n  http = true\n  ca = ["{certificate}"]\n'
    )
    words = [word.format(config=config) for word in OPTIONS[options]]
    found, said, stored, copied = {}, {}, {}, {}
    for tool in ("buildx", "croze"):
        image = ["--driver-opt", f"image={SHAM}"]
        create = ["create", "--name", "same", "--driver", "docker-container", *image, *words]
        made = engine.run(tool, *create, "--bootstrap")
        assert made.code == 0, made.output
        said[tool] = re.sub(r" ?\d+\.\ds", "", made.output)
        found[tool] = container(engine, "same0")
        stored[tool] = decoded(engine.sandbox.path / ".docker/buildx/instances/same")
        copied[tool] = files_in(engine, "same0") if options == "config" else []
        assert engine.run(tool, "rm", "same").output == "same removed\n"
    assert found["croze"] == found["buildx"]
    assert stored["croze"] == stored["buildx"]
    assert copied["croze"] == copied["buildx"]
    assert lines_of(said["croze"]) == lines_of(said["buildx"])


def decoded(instance: Path) -> dict[str, object]:
    """A stored builder, with its settings read: newer buildx, and we, write other TOML."""
    found: dict[str, object] = json.loads(instance.read_text())
    nodes = found["Nodes"]
    assert isinstance(nodes, list)
    for node in nodes:
        files = {
            name: base64.b64decode(data).decode() for name, data in (node["Files"] or {}).items()
        }
        node["Files"] = {
            name: tomllib.loads(text) if name.endswith(".toml") else text
            for name, text in files.items()
        }
    return found


def lines_of(text: str) -> set[str]:
    """What is said of a boot, without times. That an image was pulled in vain is said in other
    words by newer buildx, which are ours."""
    lines = [re.sub(r"( \d+\.\ds)? done$", " done", line) for line in text.splitlines()]
    # What takes longer than a moment is also said to begin.
    over = [line for line in lines if f"{line} done" not in lines]
    return {line for line in over if line and "local image" not in line}


REFUSED = [
    "--driver-opt nope=1",
    "--driver-opt env.=1",
    "--driver-opt memory=lots",
    "--driver-opt memory=1x",
    "--driver-opt memory-swap=-2",
    "--driver-opt cpu-period=x",
    "--driver-opt restart-policy=:1",
    "--driver-opt restart-policy=always:x",
    "--driver-opt default-load=x",
    "--buildkitd-config /nonexistent.toml",
    "unix:///nonexistent.sock",
    "http://somewhere",
    "--driver-opt image=localhost/nothing:1 --bootstrap",
    "--driver-opt image=" + SHAM + ",restart-policy=never --bootstrap",
    "--driver-opt image=" + SHAM + ",memory=1b --bootstrap",
]


@pytest.mark.parametrize("words", REFUSED)
def test_the_same_refusal(engine: Engine, words: str) -> None:
    create = ["create", "--name", "bad", "--driver", "docker-container", *words.split()]
    said = {}
    for tool in ("buildx", "croze"):
        done = engine.run(tool, *create)
        last = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said[tool] = (done.code, last[-1:] if last else done.stdout.splitlines()[-1:])
        engine.run(tool, "rm", "bad")
    assert said["croze"][0] == said["buildx"][0] == 1, said
    assert normal(said["croze"][1]) == normal(said["buildx"][1])


def normal(lines: list[str]) -> list[str]:
    """Go's names of the same things, and ids."""
    return [re.sub(r"[0-9a-f]{64}", "ID", line) for line in lines]


def test_stop_and_rm_by_the_other_one(engine: Engine) -> None:
    """What one made the other stops, starts, and takes away, with its state or without."""
    image = ("--driver-opt", f"image={SHAM}")
    tools = ("buildx", "croze")
    for maker, other in (tools, tools[::-1]):
        create = ("create", "--driver", "docker-container", "--name", "swap", "--bootstrap", *image)
        assert engine.run(maker, *create).code == 0
        assert engine.run(other, "stop", "swap").code == 0
        assert status(engine, maker, "swap") == status(engine, other, "swap") == "stopped"
        assert engine.run(other, "rm", "--keep-state", "swap").code == 0
        assert engine.docker("ps", "-aq").stdout == ""
        assert engine.docker("volume", "ls", "-q").stdout == "buildx_buildkit_swap0_state\n"
        assert engine.run(other, *create).code == 0
        assert engine.run(maker, "rm", "--keep-daemon", "swap").code == 0
        assert engine.docker("ps", "-q").stdout != ""
        assert engine.docker("rm", "-f", "buildx_buildkit_swap0").code == 0
        assert engine.docker("volume", "rm", "buildx_buildkit_swap0_state").code == 0


def status(engine: Engine, tool: str, name: str) -> str:
    rows = engine.run(tool, "ls", "--format", "{{.Name}} {{.Status}}").stdout.splitlines()
    return next(row.split()[1] for row in rows if row.startswith(f"{name}0 "))


def test_inactive_builders_go_and_running_ones_stay(engine: Engine) -> None:
    image = ("--driver-opt", f"image={SHAM}")
    for name in ("idle", "busy"):
        engine.croze("create", "--driver", "docker-container", "--name", name, *image, check=True)
    # The daemon of "busy" answers nobody, but its container runs: that is what counts.
    engine.croze("inspect", "--bootstrap", "busy")
    assert engine.croze("rm", "--all-inactive", "--force").stderr == "idle removed\n"
    assert engine.croze("rm", "busy").code == 0


def test_nodes_have_a_container_each(engine: Engine) -> None:
    """Each in a container of its own, brought up together."""
    image = ("--driver-opt", f"image={SHAM}")
    create = ("create", "--driver", "docker-container", "--name", "pair", *image)
    engine.croze(*create, "--node", "left", check=True)
    second = engine.sandbox.path / "second.sock"
    second.unlink(missing_ok=True)
    second.symlink_to(engine.env["DOCKER_HOST"].removeprefix("unix://"))
    append = (*create, "--append", "--node", "right", "--platform", "linux/arm64")
    made = engine.croze(*append, "--bootstrap", f"unix://{second}", check=True)
    names = engine.docker("ps", "--format", "{{.Names}}").stdout.split()
    assert sorted(names) == ["buildx_buildkit_left", "buildx_buildkit_right"]
    assert "[left internal] booting buildkit" in made.stderr
    assert "[right internal] booting buildkit" in made.stderr
    assert engine.croze("rm", "pair").code == 0
    assert engine.docker("ps", "-aq").stdout == ""


@pytest.fixture(scope="module")
def own(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """With Croze's image, under the name by which the driver finds it."""
    folder = tmp_path_factory.mktemp("own")
    builder = Sandbox(folder / "builder")
    builder.path.mkdir()
    with builder.running():
        archive = own_image.build(builder, folder / "image", folder / "image.tar")
    engine.docker("load", "-i", archive)
    return engine


async def test_the_driver_keeps_the_contract(own: Engine) -> None:
    host = own.env["DOCKER_HOST"]
    driver = ContainerDriver(BuilderNode("contract", host), DockerContext("here", host))
    stopped, none = NodeStatus.STOPPED, NodeStatus.INACTIVE
    await check_driver(driver, fresh=none, stopped=stopped, removed=none)
    assert own.docker("volume", "ls", "-q").stdout == ""


@pytest.fixture
def far(own: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine as a docker context behind ssh, which a program of that name carries."""
    programs = own.sandbox.path / "programs"
    programs.mkdir(exist_ok=True)
    ssh = programs / "ssh"
    at = own.env["DOCKER_HOST"].removeprefix("unix://")
    told = own.sandbox.path / "told"
    ssh.write_text(CARRIER.format(python=sys.executable, told=str(told), socket=at))
    ssh.chmod(0o755)
    own.docker("context", "create", "far", "--docker", "host=ssh://me@far:22")
    monkeypatch.delitem(own.env, "DOCKER_HOST")
    monkeypatch.setitem(own.env, "DOCKER_CONTEXT", "far")
    monkeypatch.setitem(own.env, "PATH", f"{programs}:{own.env['PATH']}")
    return own


def test_builds_in_the_own_image(far: Engine) -> None:
    """Made and brought up by croze, from the image that it finds; driven by both; in an engine on
    another machine."""
    own = far
    create = ("create", "--driver", "docker-container", "--name", "real", "--use")
    own.croze(*create, "--driver-opt", "default-load=true", "--bootstrap", check=True)
    assert own.croze("inspect").stdout == own.buildx("inspect").stdout
    files: dict[str, str | bytes] = {
        "Dockerfile": "FROM scratch\nCOPY --chmod=755 busybox /bin/sh\n"
        'RUN echo "here: $(cat /proc/1/comm)" > /greeting\n',
        "busybox": images.busybox().read_bytes(),
    }
    context = own.sandbox.context("real", files)
    for tool in ("croze", "buildx"):
        out = own.sandbox.path / f"out-{tool}"
        words = ("build", "--progress=plain", "-o", f"type=local,dest={out}", str(context))
        done = own.run(tool, *words)
        assert done.code == 0, done.output
        assert (out / "greeting").read_text() == "here: sh\n"
    assert "CACHED" in done.stderr
    # default-load: what has no output goes to the engine's images.
    loaded = own.croze("build", "-t", "from-croze", context)
    assert loaded.code == 0, loaded.output
    assert own.docker("image", "inspect", "from-croze").code == 0
    assert own.buildx("stop", "real").code == 0
    again = own.croze("build", "--progress=plain", "-o", own.sandbox.path / "again", context)
    assert "starting container buildx_buildkit_real0" in again.stderr
    assert "CACHED" in again.stderr, "its state survives"
    assert own.croze("rm", "real").code == 0
    dialled = "-l me -p 22 -- far docker system dial-stdio"
    assert dialled in (own.sandbox.path / "told").read_text().splitlines()
