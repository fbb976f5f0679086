"""Containers in the small form: `docker run`, docker-py, compose; nothing is left of them."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
from contextlib import closing
from pathlib import Path

import docker
import pytest

from tests.e2e.docker_engine import DOCKER, Engine, call, make_busybox, tar_of
from tests.e2e.sandbox import Sandbox, execute
from tests.e2e.terminal import Terminal
from tests.support.waiting import PATIENCE_S, eventually, pause

RUN = ("run", "--rm")


@pytest.fixture(scope="module")
def engine(engine: Engine) -> Engine:
    make_busybox(engine.path)
    return engine


@pytest.mark.parametrize("client", DOCKER)
def test_docker_run_has_what_it_asked_for(engine: Engine, tmp_path: Path, client: str) -> None:
    (tmp_path / "f").write_text("bound\n")
    tmp_path.chmod(0o755)
    told = "pwd; echo $A; id -u; cat /b/f; hostname; echo err >&2; touch /b/x"
    options = ["-w", "/w", "-e", "A=b", "-u", "1000", "-v", f"{tmp_path}:/b:ro", "-h", "here"]
    options += ["--network", "host", "--memory", "64m", "--ulimit", "nofile=99"]
    ran = engine.docker(*RUN, *options, "busybox", "sh", "-c", told, client=client, check=False)
    assert (ran.code, ran.stdout) == (1, "/w\nb\n1000\nbound\nhere\n")
    assert "err\n" in ran.stderr
    assert "Read-only file system" in ran.stderr
    piped = [client, *RUN, "-i", "busybox", "cat"]
    assert execute(piped, engine.env, stdin=b"in\0" * 100000).stdout == "in\0" * 100000
    entry = engine.docker(*RUN, "--entrypoint", "echo", "busybox", "a", client=client)
    assert entry.stdout == "a\n"
    named = engine.docker(*RUN, "--network", "host", "busybox", "hostname", client=client)
    assert named.stdout == f"{socket.gethostname()}\n"
    env = engine.docker(*RUN, "busybox", "env", client=client).stdout
    assert {line.partition("=")[0] for line in env.splitlines()} == {"PATH", "HOSTNAME", "HOME"}
    assert engine.docker("ps", "-aq", client=client).stdout == ""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 5"], 5),
        (["sh", "-c", "sleep 9 & kill -9 $!; wait $!"], 137),
        (["nothing-there"], 127),
        (["/nothing/there"], 127),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
        (["-v", "x:/x", "true"], 125),
    ],
)
def test_docker_run_has_the_programs_exit_code(
    engine: Engine, command: list[str], code: int
) -> None:
    options = command[:2] if command[0] == "-v" else []
    done = engine.docker(*RUN, *options, "busybox", *command[len(options) :], check=False)
    assert done.code == code, done.output
    assert engine.docker("ps", "-aq").stdout == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-p", "80:80"], "HostConfig.PortBindings is not served here"),
        (["-v", "name:/x"], "volume name is not served here"),
        (["-v", "/x"], "volume /x is not served here"),
        (["--mount", "type=volume,dst=/x"], "a mount of type volume is not served here"),
        (["--mount", "type=bind,src=/none,dst=/x"], "bind source path does not exist: /none"),
        (["--network", "mine"], "network mine is not served here"),
        (["--privileged"], "HostConfig.Privileged is not served here"),
        (["--cap-add", "SYS_ADMIN"], "HostConfig.CapAdd is not served here"),
        (["--restart", "always"], "HostConfig.RestartPolicy is not served here"),
        (
            ["--security-opt", "systempaths=unconfined"],
            "HostConfig.MaskedPaths is not served here",
        ),
        (["--cgroupns", "host"], "HostConfig.CgroupnsMode is not served here"),
        (["--device", "/dev/null"], "HostConfig.Devices is not served here"),
        (["--health-cmd", "true"], "Healthcheck of a container is not served here"),
        (["--name", "a b"], "Invalid container name (a b)"),
    ],
)
def test_what_is_refused(engine: Engine, options: list[str], words: str) -> None:
    refused = engine.docker("create", *options, "busybox", "true", check=False)
    assert (refused.code, words in refused.stderr) == (1, True), refused.output


def test_users_that_nobody_is(engine: Engine) -> None:
    for user, words in (
        ("nobody-here", "unable to find user nobody-here: no matching entries in passwd file"),
        ("0:nothing", "unable to find group nothing: no matching entries in group file"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("1:-1", "uids and gids must be in range 0-2147483647"),
    ):
        refused = engine.docker(*RUN, "-u", user, "busybox", "true", check=False)
        assert f"Error response from daemon: {words}\n" in refused.stderr, refused.output


def test_mounts_are_there(engine: Engine, tmp_path: Path) -> None:
    """A tmpfs is as it was asked for; a directory of the host that is missing is made."""
    told = "grep ' /[tu] ' /proc/mounts; touch /b/x"
    options = ["--tmpfs", "/t:size=1m", "--mount", "type=tmpfs,dst=/u,tmpfs-mode=700"]
    options += ["--read-only", "-v", f"{tmp_path}/made/here:/b"]
    ran = engine.docker("run", "--name", "mounts", *options, "busybox", "sh", "-c", told)
    assert ran.stdout.splitlines() == [
        "tmpfs /t tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k 0 0",
        "tmpfs /u tmpfs rw,nosuid,nodev,noexec,relatime,mode=700 0 0",
    ]
    assert (tmp_path / "made/here/x").exists()
    modes = [(tmp_path / each).stat().st_mode & 0o777 for each in ("made", "made/here")]
    assert modes == [0o755, 0o755], "whoever the container runs as"
    about = json.loads(engine.docker("inspect", "mounts").stdout)[0]
    assert [(each["Type"], each["Destination"]) for each in about["Mounts"]] == [
        ("bind", "/b"),
        ("tmpfs", "/u"),
    ]
    engine.docker("rm", "mounts")


LOOP = 'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done'


def test_life_of_a_container(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "life", "-l", "a=b", "busybox", "sh", "-c", LOOP)
    refused = engine.docker("create", "--name", "life", "busybox", check=False)
    assert 'Conflict. The container name "/life" is already in use' in refused.stderr
    assert engine.docker("ps", "--format", "{{.Names}} {{.Image}}").stdout == "life busybox\n"
    eventually(lambda: engine.docker("logs", "life").stdout == "up\n")
    refused = engine.docker("rm", "life", check=False)
    assert "container is running" in refused.stderr
    for words, why in (
        (["-s", "NONE", "life"], "cannot kill container: life: invalid signal: NONE"),
        (["nobody"], "cannot kill container: nobody: No such container: nobody"),
    ):
        assert why in engine.docker("kill", *words, check=False).stderr
    engine.docker("stop", "life")
    refused = engine.docker("kill", "life", check=False)
    assert re.search("cannot kill container: life: container [0-9a-f]{64} is not", refused.stderr)
    assert engine.docker("logs", "--tail", "1", "life").stdout == "bye\n"
    assert engine.docker("wait", "life").stdout == "3\n"
    assert engine.docker("ps", "-q").stdout == ""
    listed = engine.docker("ps", "-a", "--filter", "label=a=b", "--format", "{{.Status}}").stdout
    assert listed.startswith("Exited (3)")
    shown = json.loads(engine.docker("inspect", "life").stdout)[0]
    assert shown["State"]["ExitCode"] == 3
    assert shown["Config"]["Cmd"] == ["sh", "-c", LOOP]
    engine.docker("rename", "life", "afterlife")
    engine.docker("start", "afterlife")
    engine.docker("kill", "-s", "KILL", "afterlife")
    assert engine.docker("wait", "afterlife").stdout == "137\n"
    assert engine.docker("kill", "afterlife", check=False).code == 1
    engine.docker("rm", "afterlife")
    assert engine.docker("inspect", "afterlife", check=False).code == 1


def test_a_container_is_made_of_its_image(engine: Engine) -> None:
    """Whatever is called so later; and nothing is left of what it wrote."""
    for said in ("old", "new"):
        context = engine.sandbox.context(
            "said", {"Dockerfile": f"FROM busybox\nRUN echo {said} > /v\n"}
        )
        engine.docker("build", "-q", "-t", "said", context)
        engine.docker("create", "--name", said, "said", "cat", "/v")
    engine.docker("rmi", "-f", "said")
    for said in ("old", "new"):
        assert engine.docker("start", "-a", said).stdout == f"{said}\n"
        engine.docker("rm", said)
    engine.docker("run", "--rm", "busybox", "touch", "/f")
    assert "container" not in engine.sandbox.croze("du", "--verbose").stdout


def test_what_is_listed(engine: Engine) -> None:
    script = "dd if=/dev/zero of=/f bs=1M count=3"
    engine.docker(
        "run", "--name", "first", "-e", "A=1", "-e", "UNSET", "busybox", "sh", "-c", script
    )
    engine.docker("create", "--name", "second", "--network", "host", "-v", "/:/r", "busybox")

    def names(*words: str) -> list[str]:
        shown = engine.docker("ps", "-a", *(f"--filter={word}" for word in words))
        return sorted(line.split()[-1] for line in shown.stdout.splitlines()[1:])

    for filter, found in (
        ("network=host", ["second"]),
        ("volume=/r", ["second"]),
        ("volume=/", ["second"]),
        ("before=second", ["first"]),
        ("since=first", ["second"]),
        ("health=none", ["first", "second"]),
        ("publish=80", []),
        ("name=^firs$", []),
        ("name=^/f.r", ["first"]),
        ("name=(", []),
        ("status=created", ["second"]),
        ("exited=0", ["first"]),
    ):
        assert names(filter) == found, filter
    for filter in ("status=nonsense", "nonsense=1", "before=nobody", "exited=x"):
        assert engine.docker("ps", "--filter", filter, check=False).code == 1
    sized = engine.docker("ps", "-as", "--format", "{{.Size}}", "--filter=name=first").stdout
    assert sized.startswith("3.15MB (virtual 4.")
    about = json.loads(engine.docker("inspect", "-s", "first").stdout)[0]
    assert (about["SizeRw"] >= 3 << 20, about["SizeRootFs"] > about["SizeRw"]) == (True, True)
    assert {"A=1", "UNSET"} <= set(about["Config"]["Env"])
    assert "Total reclaimed space: 3.1" in engine.docker("container", "prune", "-f").stdout


def test_names_in_any_case(engine: Engine) -> None:
    """As Go reads JSON: docker-py's `detachKeys`, for instance."""
    asked = {"image": "busybox", "CMD": ["true"], "hostconfig": {"privileged": True}}
    headers = {"Content-Type": "application/json"}
    status, [told] = call(
        engine.path, "POST", "/containers/create", json.dumps(asked).encode(), headers
    )
    assert (status, told["message"]) == (501, "HostConfig.privileged is not served here")
    asked |= {
        "hostconfig": {
            "binds": ["/x:/y"],
            "Mounts": [{"type": "bind", "SOURCE": "/", "target": "/r"}],
        }
    }
    status, [made] = call(
        engine.path, "POST", "/containers/create", json.dumps(asked).encode(), headers
    )
    about = json.loads(engine.docker("inspect", made["Id"]).stdout)[0]
    assert [each["Destination"] for each in about["Mounts"]] == ["/y", "/r"]
    engine.docker("rm", made["Id"])


def test_what_it_wrote_is_there_when_it_starts_again(engine: Engine) -> None:
    script = "cat /f; echo line >> /f"
    engine.docker("create", "--name", "writes", "busybox", "sh", "-c", script)
    for count in range(3):
        assert engine.docker("start", "-a", "writes").stdout == "line\n" * count
    engine.docker("rm", "writes")


def test_docker_run_on_a_terminal(engine: Engine) -> None:
    with Terminal(["docker", *RUN, "-it", "busybox"], engine.env) as terminal:
        terminal.resize(33, 99)
        terminal.send('until [ "$(stty size)" = "33 99" ]; do :; done; tty; exit 4\n')
        assert terminal.wait() == 4, terminal.heard
        assert "/dev/pts/0" in terminal.heard


def test_docker_py_runs_containers(engine: Engine, careless: None) -> None:
    with closing(docker.DockerClient(base_url=engine.env["DOCKER_HOST"])) as client:
        run = client.containers.run
        assert run("busybox", ["echo", "a"], remove=True) == b"a\n"
        with pytest.raises(docker.errors.ContainerError, match="non-zero exit status 2"):
            run("busybox", "sh -c 'exit 2'", remove=True)
        one = run("busybox", ["sh", "-c", "echo out; echo err >&2; sleep 60"], detach=True)
        logs = one.logs(stream=True)
        assert {next(logs), next(logs)} == {b"out\n", b"err\n"}
        assert client.containers.list() == [one]
        one.kill()
        assert one.wait()["StatusCode"] == 137
        assert one.logs(stdout=False) == b"err\n"
        one.remove()
        with pytest.raises(docker.errors.NotFound):
            client.containers.get(one.id)
        with pytest.raises(docker.errors.ImageNotFound):
            client.containers.create("nothing")
        assert client.containers.prune()["ContainersDeleted"] is None


COMPOSED = """\
services:
  a:
    build: {context: ., args: {SAYS: up}}
    command: sh -c "cat /said; trap 'exit 0' TERM; while :; do sleep 0.05; done"
    network_mode: host
    volumes: ["./f:/f:ro"]
  b:
    image: busybox
    command: sh -c "exit 3"
    network_mode: host
    depends_on: [a]
"""


def test_compose_builds_and_runs_services(engine: Engine) -> None:
    files: dict[str, str | bytes] = {"compose.yaml": COMPOSED, "f": "bound\n"}
    files["Dockerfile"] = "FROM busybox\nARG SAYS\nRUN echo $SAYS > /said\n"
    folder = engine.sandbox.context("composed", files)

    def compose(*words: str | Path, code: int = 0) -> str:
        done = engine.docker("compose", "--project-directory", folder, *words, check=False)
        assert done.code == code, done.output
        return done.output

    compose("build")
    assert "exited with code 3" in compose("up", "--abort-on-container-exit", code=3)
    compose("up", "--detach")
    assert compose("exec", "-T", "a", "cat", "/f") == "bound\n"
    assert "sleep" in compose("top", "a")
    compose("cp", "a:/said", folder / "out")
    assert (folder / "out").read_text() == "up\n"
    assert "ran\n" in compose("run", "--rm", "b", "echo", "ran")
    compose("down")
    assert engine.docker("ps", "-aq").stdout == ""


def test_a_prune_of_everything_removes_ended_containers(engine: Engine) -> None:
    engine.docker("run", "--name", "ended", "busybox", "true")
    assert "Deleted Containers:" in engine.docker("system", "prune", "--force").stdout
    assert engine.docker("network", "prune", "--force").stdout == ""
    assert engine.docker("ps", "-aq").stdout == ""


def test_the_daemon_is_killed(tmp_path: Path) -> None:
    """Nothing runs on; what ran is known to have ended; what it had written before is there."""
    path = tmp_path / "docker.sock"
    flags = (f"--docker-api=unix://{path}", "--allow-insecure-entitlement=network.host")
    with Sandbox(tmp_path).running(*flags) as sandbox:
        (tmp_path / ".docker/cli-plugins").mkdir(parents=True)
        env = {**sandbox.env, "DOCKER_HOST": f"unix://{path}"}
        make_busybox(path)

        def run(*words: str) -> str:
            return execute(["docker", *words], env).stdout

        run("create", "--name", "wrote", "busybox", "sh", "-c", "cat /f; echo kept > /f")
        run("start", "-a", "wrote")
        run("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
        run("run", "-d", "--rm", "--name", "goes", "busybox", "sleep", "1000")
        run("exec", "-d", "runs", "sleep", "1000")
        with socket.socket(socket.AF_UNIX) as copying:
            copying.connect(str(path))
            copying.sendall(b"PUT /containers/runs/archive?path=/ HTTP/1.1\r\nHost: d\r\n")
            copying.sendall(b"Content-Length: 99999\r\n\r\n" + tar_of({"f": bytes(9000)})[:4096])
            eventually(lambda: any("runtime.inroot" in each for each in sandbox.leftovers()))
            assert sandbox.stop(signal.SIGKILL) == -signal.SIGKILL
        assert sandbox.wait_no_leftovers() == []
        sandbox.start(*flags)
        rows = run("ps", "-a", "--format", "{{.Names}} {{.Status}}").splitlines()
        assert [row.split(") ")[0] for row in sorted(rows)] == [
            "runs Exited (137",
            "wrote Exited (0",
        ]
        assert run("start", "-a", "wrote") == "kept\n"
        run("rm", "wrote", "runs")
        assert not list((sandbox.root / "containers").iterdir())


def test_clients_that_go_leave_the_container(engine: Engine) -> None:
    """A slow reader holds the container up, and one that vanishes does not."""
    engine.docker("create", "-i", "--name", "floods", "busybox", "yes")
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(engine.path))
    client.sendall(
        b"POST /containers/floods/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
        b"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    )
    assert client.recv(100).startswith(b"HTTP/1.1 101 ")
    engine.docker("start", "floods")
    client.recv(1 << 16)
    log = next((engine.sandbox.root / "containers").iterdir()) / "log"
    sizes = [0]
    while len(sizes) < 5 or sizes[-1] != sizes[-5]:
        sizes.append(log.stat().st_size)
        pause()
    assert sizes[-1] < 200 << 20
    client.close()
    thread = threading.Thread(target=lambda: call(engine.path, "POST", "/containers/floods/kill"))
    thread.start()
    thread.join(PATIENCE_S)
    assert engine.docker("wait", "floods").stdout == "137\n"
    engine.docker("rm", "floods")
