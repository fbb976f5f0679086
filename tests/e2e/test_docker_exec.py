"""`docker exec` and `docker cp`: more processes in containers, and their files, from outside."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import socket
import tarfile
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import docker
import pytest
import zstandard

from tests.e2e.docker_engine import DOCKER, Engine, call, make_busybox
from tests.e2e.sandbox import execute
from tests.e2e.terminal import Terminal
from tests.support.waiting import PATIENCE_S, eventually


@pytest.fixture(scope="module")
def engine(engine: Engine) -> Engine:
    make_busybox(engine.path)
    engine.docker("run", "-d", "--name", "runs", "-e", "A=b", "busybox", "sleep", "1000")
    return engine


# -- exec --


@pytest.mark.parametrize("client", DOCKER)
def test_exec_has_its_streams_its_settings_and_its_code(engine: Engine, client: str) -> None:
    told = "echo out; echo err >&2; echo $A $B; pwd; id -u; exit 7"
    options = ["-e", "B=c", "-w", "/bin", "-u", "1000"]
    ran = engine.docker("exec", *options, "runs", "sh", "-c", told, client=client, check=False)
    assert (ran.code, ran.stdout, ran.stderr) == (7, "out\nb c\n/bin\n1000\n", "err\n")
    piped = execute([client, "exec", "-i", "runs", "cat"], engine.env, stdin=b"in\0" * 100000)
    assert piped.stdout == "in\0" * 100000
    engine.docker("exec", "-d", "runs", "touch", f"/{Path(client).parent.name}-made", client=client)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["runs", "nothing"], 127, 'exec: "nothing": executable file not found in $PATH'),
        (["runs", "/no/thing"], 127, "stat /no/thing: no such file or directory"),
        (["runs", "/etc"], 126, "permission denied"),
        (
            ["-w", "/no", "runs", "true"],
            126,
            'chdir to cwd ("/no") set in config.json failed: no such file or directory',
        ),
        (["-w", "no", "runs", "true"], 126, "exec failed: Cwd must be an absolute path: unknown"),
        (["-u", "nobodys", "runs", "true"], 126, "unable to find user nobodys"),
        (["-d", "runs", "nothing"], 1, "executable file not found in $PATH"),
        (["--privileged", "runs", "true"], 1, "Privileged of an exec is not served here"),
        (["gone", "true"], 1, "No such container: gone"),
        (["runs", "sh", "-c", "kill -9 $$"], 137, ""),
    ],
)
def test_exec_that_fails(engine: Engine, words: list[str], code: int, told: str) -> None:
    failed = engine.docker("exec", *words, check=False)
    assert (failed.code, told in failed.output) == (code, True), failed.output
    assert failed.output.count("executable file") < 2


def test_exec_on_a_terminal(engine: Engine) -> None:
    with Terminal(["docker", "exec", "-it", "runs", "sh"], engine.env) as terminal:
        terminal.send("tty; echo $TERM; exit 4\n")
        assert terminal.wait() == 4, terminal.heard
        assert "/dev/pts/" in terminal.heard
        assert "xterm" in terminal.heard


def test_what_is_known_of_an_exec(engine: Engine, careless: None) -> None:
    with closing(docker.APIClient(base_url=engine.env["DOCKER_HOST"])) as client:
        made = client.exec_create("runs", ["sh", "-c", "echo $0; sleep 1000"], user="0")
        assert client.exec_inspect(made)["ExitCode"] is None
        stream = client.exec_start(made, stream=True)
        assert next(stream) == b"sh\n"
        about = client.exec_inspect(made)
        assert (about["Running"], about["Pid"] > 0) == (True, True)
        assert about["ProcessConfig"]["entrypoint"] == "sh"
        assert client.inspect_container("runs")["ExecIDs"] == [made["Id"]]
        with pytest.raises(docker.errors.APIError, match="is already running"):
            client.exec_start(made)
        os.kill(about["Pid"], 9)
        assert list(stream) == []
        assert client.exec_inspect(made)["ExitCode"] == 137
        with pytest.raises(docker.errors.APIError, match="has already run"):
            client.exec_start(made)
        with pytest.raises(docker.errors.NotFound, match="No such exec instance"):
            client.exec_inspect("0" * 64)


def test_keys_that_leave_a_terminal(engine: Engine) -> None:
    asked = {"AttachStdin": True, "AttachStdout": True, "Tty": True, "Cmd": ["cat"]}
    asked["DetachKeys"] = "ctrl-a,x"
    body, kind = json.dumps(asked).encode(), {"Content-Type": "application/json"}
    [made] = call(engine.path, "POST", "/containers/runs/exec", body, kind)[1]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(engine.path))
        start = b'{"Tty": true}'
        client.sendall(
            f"POST /exec/{made['Id']}/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
            f"Upgrade: tcp\r\nContent-Length: {len(start)}\r\n\r\n".encode()
            + start
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
        client.sendall(b"hello\n\x01x")
        while client.recv(1000):
            pass
    about = call(engine.path, "GET", f"/exec/{made['Id']}/json")[1][0]
    assert about["Running"]
    os.kill(about["Pid"], 9)


def _pid_of_exec(engine: Engine, name: str) -> int:
    """Of the one that runs in a container; 0 before it is there."""
    ids = json.loads(engine.docker("inspect", name).stdout)[0]["ExecIDs"] or ()
    return sum(call(engine.path, "GET", f"/exec/{id}/json")[1][0]["Pid"] for id in ids)


def test_exec_in_what_has_ended(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "ends", "busybox", "sleep", "1000")
    waiting: list[int] = []
    words = ("exec", "ends", "sh", "-c", "echo $$; sleep 1000")
    thread = threading.Thread(
        target=lambda: waiting.append(engine.docker(*words, check=False).code)
    )
    thread.start()
    eventually(lambda: _pid_of_exec(engine, "ends"))
    engine.docker("kill", "ends")
    thread.join(PATIENCE_S)
    assert waiting == [137]
    failed = engine.docker("exec", "ends", "true", check=False)
    assert (failed.code, "is not running" in failed.stderr) == (1, True), failed.output
    engine.docker("rm", "ends")


# -- cp --


@pytest.mark.parametrize("name", ["runs", "rests"])
def test_copies(engine: Engine, tmp_path: Path, name: str) -> None:
    """Into a container and out again, as they were; whether it runs or never did."""
    tree = tmp_path / "d"
    (tree / "e").mkdir(parents=True)
    (tree / "f").write_text("one\n")
    (tree / "f").chmod(0o640)
    (tree / "l").symlink_to("f")
    os.link(tree / "f", tree / "h")
    (tree / "e/big").write_bytes(os.urandom(3 << 20))
    if name == "rests":
        engine.docker("create", "--name", "rests", "busybox", "cat", "/x/f")
    engine.docker("cp", tree, f"{name}:/x")
    engine.docker("cp", f"{name}:/x", tmp_path / "out")
    assert (tmp_path / "out/e/big").read_bytes() == (tree / "e/big").read_bytes()
    assert (tmp_path / "out/l").readlink() == Path("f")
    assert (tmp_path / "out/f").stat().st_ino == (tmp_path / "out/h").stat().st_ino
    assert (tmp_path / "out/f").stat().st_mode & 0o777 == 0o640
    got = execute(["docker", "cp", f"{name}:/x/.", "-"], engine.env)
    assert got.stdout.startswith("./\0")
    failed = engine.docker("cp", f"{name}:/nope", "-", check=False)
    assert f"Could not find the file /nope in container {name}" in failed.stderr
    if name == "rests":
        assert engine.docker("start", "-a", "rests").stdout == "one\n"
        engine.docker("rm", "rests")


def tar_of(*members: tuple[str, str, str]) -> bytes:
    """Of (name, kind, link target or content)."""
    out = io.BytesIO()
    kinds = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "file": tarfile.REGTYPE}
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kinds[kind]
            info.linkname = text if kind != "file" else ""
            data = text.encode() if kind == "file" else b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


COMPRESSIONS = (gzip.compress, bz2.compress, lzma.compress, zstandard.compress)
ARCHIVES = [
    (tar_of(("../../outside", "file", "x")), 400, "is outside of"),
    (tar_of(("l", "link", "/"), ("l/outside", "file", "x")), 200, ""),
    (tar_of(("u", "link", "../../../../.."), ("u/outside", "file", "x")), 200, ""),
    (tar_of(("h", "hard", "../../etc/shadow")), 400, "invalid hardlink"),
    (tar_of(("h", "hard", "/etc/shadow")), 400, "no such file or directory"),
    (tar_of(("f", "file", "x" * 5000))[:2000], 500, "unexpected EOF"),
    (b"rubbish" * 1000, 500, "invalid tar header"),
    (b"\x1f\x8b\x08" + b"x" * 2000, 500, ""),
    (b"", 200, ""),
    *((compress(tar_of(("f", "file", "x"))), 200, "") for compress in COMPRESSIONS),
]


@pytest.mark.parametrize("archive", range(len(ARCHIVES)))
def test_archives_that_mean_harm(engine: Engine, archive: int) -> None:
    data, status, told = ARCHIVES[archive]
    got, lines = call(engine.path, "PUT", "/containers/runs/archive?path=/tmp", data)
    if got == 404:
        engine.docker("exec", "runs", "mkdir", "/tmp")
        got, lines = call(engine.path, "PUT", "/containers/runs/archive?path=/tmp", data)
    assert (got, told in json.dumps(lines)) == (status, True), lines
    for folder in ("/", "/tmp", str(engine.sandbox.path)):
        assert not Path(folder, "outside").exists()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/proc/1/root/etc", 404),
        ("GET", "/up/proc/1/environ", 404),
        ("HEAD", "../../../../etc/shadow", 404),
        ("GET", "/loop/x", 400),
        ("GET", "", 400),
        ("PUT", "/bin/busybox", 400),
        ("PUT", "\0", 400),
    ],
)
def test_paths_that_lead_astray(engine: Engine, method: str, path: str, status: int) -> None:
    engine.docker("exec", "runs", "sh", "-c", "ln -sf / /up; ln -sfn loop /loop")
    query = urlencode({"path": path})
    assert call(engine.path, method, f"/containers/runs/archive?{query}")[0] == status


def test_what_nobody_reads_as_text(engine: Engine) -> None:
    """Names are bytes; as Go does, what is no UTF-8 of them is told as such."""
    shell = (
        r"ln -s $(printf '/\377') /bytes; mkdir -p /b; ln -s /bytes /b/l; touch $(printf '/b/\376')"
    )
    engine.docker("exec", "runs", "sh", "-c", shell)
    answer, _ = engine.ask("HEAD", "/containers/runs/archive?path=/bytes")
    stat = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    assert (answer.status, stat["linkTarget"]) == (200, "/\ufffd")
    answer, tree = engine.ask("GET", "/containers/runs/archive?path=/b")
    assert (answer.status, b"b/\xfe" in tree) == (200, True)


def test_what_is_bound(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "ro").mkdir()
    (tmp_path / "rw").mkdir()
    (tmp_path / "ro/f").write_text("bound\n")
    bound = ["-v", f"{tmp_path}/ro:/ro:ro", "-v", f"{tmp_path}/rw:/rw"]
    engine.docker("create", "--name", "bound", *bound, "busybox", "true")
    got = execute(["docker", "cp", "bound:/ro/f", "-"], engine.env)
    assert "bound\n" in got.stdout
    failed = engine.docker("cp", tmp_path / "ro/f", "bound:/ro/g", check=False)
    assert "mounted volume is marked read-only" in failed.stderr
    around = tar_of(("l", "link", "/ro"), ("l/g", "file", "x"))
    status, told = call(engine.path, "PUT", "/containers/bound/archive?path=/rw", around)
    assert (status, told[0]["message"]) == (500, "extract /ro/g: read-only file system")
    assert os.listdir(tmp_path / "ro") == ["f"]
    engine.docker("cp", tmp_path / "ro/f", "bound:/rw/g")
    assert (tmp_path / "rw/g").read_text() == "bound\n"
    with tarfile.open(fileobj=io.BytesIO(export(engine, "bound"))) as exported:
        names = exported.getnames()
    assert "bin/busybox" in names
    assert "rw/g" not in names
    engine.docker("rm", "bound")


def export(engine: Engine, name: str) -> bytes:
    answer, data = engine.ask("GET", f"/containers/{name}/export")
    assert answer.status == 200
    return data


def test_a_container_that_ends_while_it_is_copied(engine: Engine, tmp_path: Path) -> None:
    engine.docker("run", "-d", "--name", "short", "busybox", "sleep", "1000")
    (tmp_path / "big").write_bytes(os.urandom(8 << 20))
    engine.docker("cp", tmp_path / "big", "short:/big")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(engine.path))
        client.sendall(b"GET /containers/short/archive?path=/big HTTP/1.0\r\n\r\n")
        data = client.recv(1 << 10)
        killing = threading.Thread(target=lambda: engine.docker("kill", "short"))
        killing.start()
        while more := client.recv(1 << 20):
            data += more
    killing.join()
    assert (tmp_path / "big").read_bytes() in data
    engine.docker("rm", "short")


def test_who_copies_slowly_holds_nobody_up(engine: Engine) -> None:
    engine.docker("create", "--name", "slow", "busybox", "true")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(engine.path))
        head = b"PUT /containers/slow/archive?path=/ HTTP/1.1\r\nHost: d\r\n"
        client.sendall(head + b"Content-Length: 9999999\r\n\r\n" + bytes(1024))
        eventually(lambda: any("runtime.inroot" in each for each in engine.sandbox.leftovers()))
        engine.docker("start", "-a", "slow")
        assert b"the copy was broken off" in client.recv(1000)
    engine.docker("rm", "slow")


def test_a_client_that_goes_in_the_middle(engine: Engine, tmp_path: Path) -> None:
    """The container can be started, and removed, at once."""
    engine.docker("create", "--name", "held", "busybox", "true")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(engine.path))
        head = b"PUT /containers/held/archive?path=/ HTTP/1.1\r\nHost: d\r\n"
        client.sendall(
            head + b"Content-Length: 9999999\r\n\r\n" + tar_of(("f", "file", "x" * 3000))[:2048]
        )
    assert engine.docker("start", "-a", "held").code == 0
    engine.docker("rm", "held")


# -- what it uses --


def test_what_a_container_uses(engine: Engine) -> None:
    once = call(engine.path, "GET", "/containers/runs/stats?stream=0")[1][0]
    assert once["name"] == "/runs"
    assert once["cpu_stats"]["system_cpu_usage"] > once["precpu_stats"]["system_cpu_usage"] > 0
    assert once["memory_stats"]["limit"] > once["memory_stats"]["usage"]
    shown = engine.docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "runs")
    assert shown.stdout == f"runs {once['pids_stats'].get('current', 0)}\n"
    engine.docker("create", "--name", "never", "busybox", "true")
    assert call(engine.path, "GET", "/containers/never/stats?stream=0")[1][0]["pids_stats"] == {}
    engine.docker("rm", "never")


def test_the_processes_of_a_container(engine: Engine) -> None:
    lines = engine.docker("top", "runs").stdout.splitlines()
    assert (lines[0].split()[:2], lines[1].endswith("sleep 1000")) == (["UID", "PID"], True)
    assert "sleep" in engine.docker("top", "runs", "-o", "pid,comm").stdout
    for options, told in (("-o comm", "Couldn't find PID field"), ("--nonsense", "ps: error")):
        status, lines = call(
            engine.path, "GET", f"/containers/runs/top?{urlencode({'ps_args': options})}"
        )
        assert (status >= 400, told in json.dumps(lines)) == (True, True), lines
