"""`POST /build` as before BuildKit, as docker-py and older clients send it; beside dockerd."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import docker
import pytest

from tests.e2e.docker_engine import (
    DOCKER,
    Engine,
    ask,
    build,
    make_busybox,
    tar_of,
)
from tests.e2e.dockerd import own_dockerd
from tests.support.waiting import PATIENCE_S, eventually


@pytest.fixture(scope="module")
def engine(engine: Engine) -> Engine:
    make_busybox(engine.path)
    return engine


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_dockerd(tmp_path_factory.mktemp("dockerd")) as host:
        path = Path(host.removeprefix("unix://"))
        make_busybox(path)
        yield path


STAGES = """ARG BASE=busybox
FROM $BASE AS one
ENV A=1
RUN echo out $A; echo made > /made
RUN echo err >&2
FROM busybox
WORKDIR /w
COPY --from=one /made here
COPY f ./
LABEL l=v
RUN cat here f
CMD ["sh"]
"""


def text_of(told: list[dict[str, object]]) -> list[str]:
    """What a user sees, ids aside; of an instruction that does no work there is less to see."""
    lines = "".join(str(line.get("stream", "")) for line in told).splitlines()
    lines = [re.sub(r"\b[0-9a-f]{12}\b", "ID", line) for line in lines]
    return [line for line in lines if not line.startswith((" --->", "Removing")) and line]


def test_told_as_by_debians_dockerd(engine: Engine, dockerd: Path) -> None:
    context = tar_of({"Dockerfile": STAGES, "f": "f\n"})
    asked = {"t": "told:1", "networkmode": "none", "rm": "1"}
    answers = [build(at, context, **asked) for at in (engine.path, dockerd)]
    assert [status for status, _ in answers] == [200, 200]
    (_, ours), (_, theirs) = answers
    assert text_of(ours) == text_of(theirs)
    assert [line.keys() for line in ours if "stream" not in line] == [{"aux"}]
    for at in (engine.path, dockerd):
        again = build(at, context, **asked)[1]
        cached = [line for line in again if "Using cache" in str(line.get("stream"))]
        assert len(cached) == 9
        assert "out 1" not in text_of(again)
    quiet = [build(at, context, **asked, q="1")[1] for at in (engine.path, dockerd)]
    assert [str(lines[-1]["stream"])[:7] for lines in quiet] == ["sha256:"] * 2


FROM = "FROM busybox\n"


@pytest.mark.parametrize(
    ("dockerfile", "query", "words"),
    [
        (FROM + "RUN echo before; exit 3\n", {}, ""),
        (FROM + "RUN echo before; exit 3\n", {"q": "1"}, ""),
        (FROM + "RUNN x\n", {}, "line 2: unknown instruction: RUNN"),
        (FROM, {"dockerfile": "other"}, "Cannot locate specified Dockerfile: other"),
        (FROM, {"target": "other"}, "failed to reach build target other in Dockerfile"),
        (FROM, {"platform": "foobar"}, '"foobar": unknown operating system or architecture'),
        (FROM, {"t": "UPPER"}, "must be lowercase"),
        (FROM, {"buildargs": "{"}, "error reading build"),
        (FROM, {"remote": "http://127.0.0.1:1/x"}, "127.0.0.1:1: connect: connection refused"),
    ],
)
def test_mistakes_as_with_debians_dockerd(
    engine: Engine, dockerd: Path, dockerfile: str, query: dict[str, str], words: str
) -> None:
    context = tar_of({"Dockerfile": dockerfile})
    query = {"networkmode": "none", "nocache": "1", **query}
    (our, ours), (their, theirs) = (build(at, context, **query) for at in (engine.path, dockerd))
    # Docker 20 took some mistakes of its clients for its own.
    assert our == their or (our in (400, 503) and their == 500)
    assert text_of(ours)[:2] == text_of(theirs)[:2]
    assert ours[-1].keys() == theirs[-1].keys()
    assert ours[-1].get("errorDetail") == theirs[-1].get("errorDetail")
    for told in (ours, theirs):
        assert words in str(told[-1].get("message", "")), told


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"squash": "1"}, 501, "squash=1 is not served here"),
        ({"securityopt": '["x"]'}, 501, 'securityopt=["x"] is not served here'),
        ({"isolation": "hyperv"}, 400, "invalid isolation"),
        ({"networkmode": "some-network"}, 400, "network mode 'some-network' not supported"),
        ({"version": "3"}, 400, "invalid version 3"),
        ({"memory": "x"}, 400, "memory"),
    ],
)
def test_refused_by_name(engine: Engine, query: dict[str, str], status: int, words: str) -> None:
    answer = build(engine.path, tar_of({"Dockerfile": FROM}), **query)
    assert (answer[0], words in str(answer[1][-1]["message"])) == (status, True), answer


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_contexts_may_be_compressed(engine: Engine, mode: str) -> None:
    context = tar_of({"Dockerfile": FROM + "COPY f /\n", "f": "f"}, mode)
    status, told = build(engine.path, context)
    assert (status, "Successfully built" in json.dumps(told)) == (200, True), told


def linked(to: str) -> bytes:
    """A context whose Dockerfile is another name of a file that it has not."""
    info = tarfile.TarInfo("Dockerfile")
    info.type, info.linkname = tarfile.LNKTYPE, to
    return info.tobuf() + bytes(1024)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (linked("/etc/passwd"), "link /etc/passwd /Dockerfile: no such file or directory"),
        (linked("../../../etc/passwd"), "link /etc/passwd /Dockerfile: no such file or directory"),
        (b"", "Cannot locate specified Dockerfile: Dockerfile"),
        (bytes(10240), "Cannot locate specified Dockerfile: Dockerfile"),
        (b"nonsense" * 200, "archive/tar: invalid tar header"),
        (tar_of({"f": bytes(9000)})[:5000], "unexpected EOF"),
    ],
)
def test_contexts_that_are_none(engine: Engine, body: bytes, words: str) -> None:
    status, told = build(engine.path, body)
    assert (status in (400, 500), words in str(told[-1]["message"])) == (True, True), told


def test_all_that_a_build_may_be_asked(engine: Engine) -> None:
    lines = [FROM + "ARG A", 'RUN test "$A" = 1', "RUN grep -q '1.2.3.4.h' /etc/hosts"]
    lines += ["RUN test $(ulimit -n) = 99"]
    context = tar_of({"d/D": "\n".join(lines)})
    asked = {
        "dockerfile": "d/D",
        "buildargs": '{"A":"1","UNSET":null}',
        "labels": '{"l":"v"}',
        "extrahosts": "h:1.2.3.4",
        "ulimits": '[{"Name":"nofile","Hard":99,"Soft":99}]',
        "networkmode": "none",
        "cachefrom": '["busybox"]',
        "memory": str(64 << 20),
        "memswap": "-1",
        "cpushares": "512",
        "forcerm": "1",
        "rm": "0",
        "isolation": "default",
        "platform": "linux/amd64",
        "t": "asked",
    }
    status, told = build(engine.path, context, **asked)
    assert (status, "Successfully tagged asked:latest" in json.dumps(told)) == (200, True), told[
        -3:
    ]
    shown = json.loads(engine.ask("GET", "/images/asked/json")[1])
    assert shown["Config"]["Labels"] == {"l": "v"}


def test_contexts_from_elsewhere(engine: Engine, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "Dockerfile").write_text(FROM + "COPY f /\n")
    (repo / "f").write_text("f")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "c"],
    ):
        subprocess.run(["git", *words], cwd=repo, check=True)
    subprocess.run(["git", "update-server-info"], cwd=repo, check=True)
    server = subprocess.Popen(
        ["python3", "-m", "http.server", "-b", "127.0.0.1", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert server.stdout is not None
        port = re.search(r"port (\d+)", server.stdout.readline().decode())
        assert port is not None
        at = f"http://127.0.0.1:{port[1]}"
        (tmp_path / "c.tar").write_bytes(tar_of({"Dockerfile": FROM + "COPY f /\n", "f": "f"}))
        for remote, steps in (
            (f"{at}/repo/.git", 2),
            (f"{at}/c.tar", 2),
            (f"{at}/repo/Dockerfile", 0),
        ):
            told = build(engine.path, b"", remote=remote)[1]
            ended = told[-1]
            if steps:
                assert f"Step {steps}/{steps} : COPY f /" in text_of(told)
                assert "Successfully built" in str(ended["stream"]), (remote, told)
            else:  # a Dockerfile alone has no files beside it
                assert '"/f": not found' in str(ended["error"]), told
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize("client", DOCKER)
def test_docker_without_buildkit(engine: Engine, client: str) -> None:
    where = engine.sandbox.context("classic", {"Dockerfile": FROM + "RUN exit 7\n"})
    engine.env["DOCKER_BUILDKIT"] = "0"
    try:
        failed = engine.docker("build", where, client=client, check=False)
        assert failed.code == 7, failed.output
        assert "The command '/bin/sh -c exit 7' returned a non-zero code: 7" in failed.stderr
        (where / "Dockerfile").write_text(FROM + "CMD x\n")
        made = engine.docker("build", "-t", "classic", where, client=client).stdout
        assert "Successfully tagged classic:latest" in made
        quiet = engine.docker("build", "-q", where, client=client).stdout.strip()
        shown = engine.docker("inspect", "-f", "{{.Id}}", "classic").stdout.strip()
        assert quiet == shown
    finally:
        del engine.env["DOCKER_BUILDKIT"]


def test_docker_py_builds(engine: Engine, careless: None) -> None:
    with closing(docker.DockerClient(base_url=engine.env["DOCKER_HOST"])) as client:
        image, told = client.images.build(fileobj=io.BytesIO(FROM.encode() + b"CMD hi"), tag="py:1")
        assert (image.tags, image.attrs["Config"]["Cmd"]) == (["py:1"], ["/bin/sh", "-c", "hi"])
        assert "Step 2/2 : CMD hi" in text_of(list(told))
        files = {"Dockerfile": FROM + "COPY . /c\nRUN ls -A /c > /l\n", "f": "", "not": ""}
        where = engine.sandbox.context(
            "py", {**files, ".dockerignore": "not\nDockerfile\n.docker*"}
        )
        image, _ = client.images.build(path=str(where), gzip=True, rm=True)
        saved = client.images.build(
            path=str(where), dockerfile=str(engine.sandbox.context("away", files) / "Dockerfile")
        )
        for each in (image, saved[0]):
            id = each.id.partition(":")[2]
            text = f'FROM {id[:12]}\nRUN test "$(cat /l)" = f\n'
            client.images.build(fileobj=io.BytesIO(text.encode()))
        with pytest.raises(docker.errors.BuildError) as failed:
            client.images.build(fileobj=io.BytesIO(FROM.encode() + b"RUN exit 1"))
        assert "The command '/bin/sh -c exit 1' returned a non-zero code: 1" in str(failed.value)
        with pytest.raises(docker.errors.APIError, match="unknown instruction: NOPE"):
            client.images.build(fileobj=io.BytesIO(b"FROM scratch\nNOPE"))
        pruned = client.api.prune_builds(filters={"until": "1000h"}, all=True, keep_storage=1)
        assert pruned == {"CachesDeleted": None, "SpaceReclaimed": 0}


SLOW = "FROM busybox\nRUN while :; do :; done\n"


def _begin(at: Path, context: bytes, *, claims: int = 0, query: str = "") -> socket.socket:
    """A build of which the answer is not read."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(at))
    length = f"Content-Length: {claims or len(context)}"
    client.sendall(f"POST /build?{query} HTTP/1.1\r\nHost: d\r\n{length}\r\n\r\n".encode())
    client.sendall(context)
    return client


def _wait_for(engine: Engine, runs: bool) -> None:
    eventually(
        lambda: any("/bundle" in each for each in engine.sandbox.leftovers()) == runs,
        engine.sandbox.leftovers,
    )


def test_cancelled_by_its_id(engine: Engine) -> None:
    answers: list[tuple[int, list[dict[str, object]]]] = []
    context = tar_of({"Dockerfile": SLOW})

    def run() -> None:
        answers.append(build(engine.path, context, buildid="mine", networkmode="none"))

    thread = threading.Thread(target=run)
    thread.start()
    _wait_for(engine, True)
    assert engine.ask("POST", "/build/cancel?id=other")[0].status == 204
    assert engine.ask("POST", "/build/cancel?id=mine")[0].status == 204
    thread.join(PATIENCE_S)
    assert answers[0][1][-1]["error"] == "context canceled"
    assert engine.ask("POST", "/build/cancel")[0].status == 400
    _wait_for(engine, False)


def test_clients_that_vanish_and_half_of_tars(engine: Engine) -> None:
    """Nothing is left of them, and no more is held in memory than for one."""
    assert engine.sandbox.daemon is not None
    pid = engine.sandbox.daemon.pid
    whole = tar_of({"Dockerfile": SLOW})
    clients = [_begin(engine.path, whole, query="networkmode=none")]
    _wait_for(engine, True)
    big = tar_of({"Dockerfile": FROM, "big": bytes(8 << 20)})
    build(engine.path, big)
    before = _memory(pid)
    clients += [_begin(engine.path, big[:4000000], claims=len(big)) for _ in range(20)]
    for client in clients:
        client.close()
    _wait_for(engine, False)
    eventually(lambda: _open_files(pid) < 60 and not _uploads(engine), lambda: _uploads(engine))
    assert _memory(pid) - before < 64 << 20


def test_many_at_once(engine: Engine) -> None:
    """Neither connections nor memory are left."""
    assert engine.sandbox.daemon is not None
    pid = engine.sandbox.daemon.pid

    def one(number: int) -> None:
        dockerfile = f"{FROM}COPY f /\nRUN echo {number} > /n\n"
        context = tar_of({"Dockerfile": dockerfile, "f": str(number)})
        told = build(engine.path, context, t=f"many:{number}", networkmode="none")[1]
        assert told[-1] == {"stream": f"Successfully tagged many:{number}\n"}

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(one, range(20)))
        files, memory = _open_files(pid), _memory(pid)
        list(pool.map(one, range(20, 40)))
    eventually(
        lambda: _open_files(pid) <= files + 8,
        lambda: f"{files} files, {_open_files(pid)} afterwards",
    )
    assert _memory(pid) - memory < 64 << 20


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _uploads(engine: Engine) -> list[str]:
    """Contexts that are still on disk."""
    told = engine.sandbox.croze("du", "--verbose").stdout
    return [line for line in told.splitlines() if "buildkit-session" in line]


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_contexts_stay_in_no_cache(engine: Engine) -> None:
    for number in range(2):
        build(engine.path, tar_of({"Dockerfile": FROM, "f": str(number)}))
    assert not _uploads(engine)
    unlabelled = 'all=1&filters={"label":["x"]}'  # of everything, as docker system prune asks
    assert json.loads(engine.ask("POST", f"/build/prune?{unlabelled}")[1])["CachesDeleted"] is None
    assert ask(engine.path, "POST", "/build/prune?all=1")[0].status == 200
    for wrong in ("keep-storage=x", 'filters={"until":["x"]}', 'filters={"nothing":["x"]}'):
        assert engine.ask("POST", f"/build/prune?{wrong}")[0].status == 400
