"""Docker's own API: unmodified clients of a Docker engine build on `crozed`, and handle images."""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.alike import OLD, OWN, alike, plain
from tests.e2e.docker_engine import (
    DOCKER,
    Engine,
    ask,
    small_context,
    tar_of,
)
from tests.e2e.dockerd import own_dockerd
from tests.e2e.sandbox import BUILDX, CROZE, execute
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def context(engine: Engine) -> Path:
    return small_context(engine)


def test_the_socket_is_for_its_group_alone(engine: Engine) -> None:
    assert stat.S_IMODE(engine.path.stat().st_mode) == 0o660


@pytest.mark.parametrize("client", DOCKER)
def test_docker_builds_an_image_and_sees_it(engine: Engine, context: Path, client: str) -> None:
    """Debian's asks the engine to build (`POST /build`), the other one's buildx builds by gRPC."""
    name = f"by{client.replace('/', '-')}"
    build = ("build", "--label", f"client={name}", "--network=host")
    built = engine.docker(
        *build, "--progress=plain", "-t", name, "-t", f"{name}:2", context, client=client
    )
    assert "naming to " in built.stderr
    ids = engine.docker("images", "-q", "--no-trunc", name, client=client).stdout.split()
    assert len(ids) == 2
    assert f"{name} " in engine.sandbox.croze("images").stdout
    quiet = engine.docker(*build, "-q", context, client=client).stdout.strip()
    assert engine.docker("inspect", "-f", "{{.Id}}", quiet).stdout.strip() == ids[0]


@pytest.mark.parametrize("client", DOCKER)
def test_docker_build_from_standard_input(engine: Engine, context: Path, client: str) -> None:
    files = {path.name: path.read_bytes() for path in context.iterdir()}
    words = [client, "build", "-t", "piped", "--network=host", "-"]
    execute(words, engine.env, stdin=tar_of(files))
    assert engine.docker("inspect", "-f", "{{.Config.Labels.made}}", "piped").stdout == "here\n"
    execute(words, engine.env, stdin=b"FROM scratch\nLABEL made=alone\n")
    assert engine.docker("inspect", "-f", "{{.Config.Labels.made}}", "piped").stdout == "alone\n"


def test_contexts_that_nobody_brings_or_wants(engine: Engine) -> None:
    query = "version=2&session=x&remote=upload-request&buildid=none"
    for path in (f"/build?{query}", "/build?version=2&buildid=upload-request:none"):
        answer, body = engine.ask("POST", path)
        assert (answer.status, b"build none" in body) == (400, True)


def test_buildx_in_a_context_of_docker(engine: Engine, context: Path) -> None:
    env = {k: v for k, v in engine.env.items() if k != "DOCKER_HOST"}
    host = f"host=unix://{engine.path}"
    execute(["docker", "context", "create", "there", "--docker", host], env)
    execute(["docker", "context", "use", "there"], env)
    there: list[str | Path] = [BUILDX["trixie"], "--builder", "there"]
    listed = execute([BUILDX["trixie"], "inspect", "there"], env).stdout
    assert listed.split("Driver:")[1].split()[0] == "docker"
    assert "running" in listed
    out = engine.sandbox.path / "out"
    execute([*there, "build", "-o", out, context], env)
    assert (out / "f").read_text() == "f\n"
    id_file = engine.sandbox.path / "iid"
    execute([*there, "build", "-t", "from-buildx", "--iidfile", id_file, context], env)
    id = engine.docker("images", "-q", "--no-trunc", "from-buildx").stdout.strip()
    shown = ("inspect", "--format", "{{.Id}}", id_file.read_text())
    assert engine.docker(*shown).stdout.strip() == id


def test_the_hosts_own_address(engine: Engine, context: Path) -> None:
    """What `host-gateway` stands for: buildx asks the worker's labels, Debian's client leaves it to
    the engine."""
    (context / "Gateway").write_text(
        "FROM scratch\nCOPY --chmod=755 busybox /bin/sh\n"
        'RUN ["/bin/sh", "-c", "while read a b; do echo $a $b; done </etc/hosts >/hosts"]\n'
    )
    out = engine.sandbox.path / "hosts"
    build: tuple[str | Path, ...] = ("build", "--add-host=up:host-gateway", "-f")
    build = (*build, context / "Gateway")
    for plugin in (BUILDX["trixie"], CROZE):
        words = [plugin, "--builder", "default", *build, "-o", out, context]
        execute(words, engine.env)
        assert "127.0.0.1 up" in (out / "hosts").read_text()
        (out / "hosts").unlink()
    for client in DOCKER:
        engine.docker(*build, "-t", "gateway", context, client=client)
        run = ("run", "--rm", "--add-host=up:host-gateway", "gateway", "/bin/sh", "-c")
        shown = "while read a b; do echo $a $b; done </hosts; echo of /etc; read a </etc/hosts"
        assert "127.0.0.1 up" in engine.docker(*run, shown, client=client).stdout


@pytest.mark.parametrize("client", DOCKER)
def test_images_by_name_and_id(engine: Engine, context: Path, client: str) -> None:
    engine.docker("build", "-t", "one:1", "--label", "only=here", context)
    listed = ("images", "--format", "{{.Repository}}:{{.Tag}}")
    for chosen in ("reference=one", "reference=o*:1", "label=only", "label=only=here"):
        found = engine.docker(*listed, "--filter", chosen, client=client).stdout.split()
        assert found == ["one:1"], chosen
    assert engine.docker(*listed, "-f", "label=only=there", client=client).stdout == ""
    engine.docker("tag", "one:1", "two", client=client)
    id = engine.docker("images", "-q", "two", client=client).stdout.strip()
    assert id == engine.docker("images", "-q", "one:1", client=client).stdout.strip()
    shown = engine.docker("inspect", id, "--format", "{{.RepoTags}} {{.Config.Cmd}}", client=client)
    assert shown.stdout.split() == ["[one:1", "two:latest]", "[/bin/sh]"]
    rows = engine.docker("history", "two", "--format", "{{.CreatedBy}}", client=client).stdout
    assert any(row.startswith("CMD [") for row in rows.splitlines())
    conflict = engine.docker("rmi", id, client=client, check=False)
    assert conflict.code == 1
    assert "(must be forced) - image is referenced in multiple repositories" in conflict.stderr
    assert engine.docker("rmi", "two", client=client).stdout == "Untagged: two:latest\n"
    assert "Deleted: sha256:" in engine.docker("rmi", id, client=client).stdout
    gone = engine.docker("rmi", "one:1", client=client, check=False)
    assert gone.code == 1
    assert "No such image: one:1" in gone.stderr


def test_saved_images_are_read_by_others(engine: Engine, context: Path, tmp_path: Path) -> None:
    engine.docker("build", "-t", "saved:1", "-t", "saved:2", "--label", "saved=1", context)
    engine.docker("build", "-t", "other", "--label", "saved=2", context)
    archive = tmp_path / "images.tar"
    engine.docker("save", "-o", archive, "saved:1", "saved:2", "other", client="/usr/bin/docker")
    for kind, name in (("docker-archive", "saved:2"), ("docker-archive", "other:latest")):
        read = ["skopeo", "inspect", "--config", f"{kind}:{archive}:{name}"]
        assert json.loads(execute(read, engine.env).stdout)["config"]["Labels"]["made"] == "here"
    layout = tmp_path / "layout"
    source = "docker-daemon:other:latest"
    copy = ["skopeo", "--insecure-policy", "copy", "--src-daemon-host", engine.env["DOCKER_HOST"]]
    execute([*copy, source, f"oci:{layout}:x"], engine.env)
    assert (layout / "index.json").exists()
    back = ["--dest-daemon-host", engine.env["DOCKER_HOST"], f"oci:{layout}:x"]
    copy = ["skopeo", "--insecure-policy", "copy"]
    execute([*copy, *back, "docker-daemon:by-skopeo:1"], engine.env)
    assert engine.docker("images", "-q", "by-skopeo:1").stdout
    missing = engine.docker("save", "-o", archive, "nothing-there", check=False)
    assert "No such image: nothing-there:latest" in missing.stderr


def test_what_is_saved_can_be_loaded(
    engine: Engine, dockerd: Path, context: Path, tmp_path: Path
) -> None:
    engine.docker("build", "-t", "moved:1", "--label", "moved=yes", context)
    id = engine.docker("inspect", "-f", "{{.Id}}", "moved:1").stdout
    layout, old = tmp_path / "layout.tar", tmp_path / "old.tar"
    engine.docker("save", "-o", layout, "moved:1")
    engine.docker("rmi", "moved:1")
    assert engine.docker("load", "-i", layout).stdout == "Loaded image: moved:1\n"
    assert engine.docker("inspect", "-f", "{{.Id}}", "moved:1").stdout == id
    # Docker's own form, from an engine that knows no other.
    there = {**engine.env, "DOCKER_HOST": f"unix://{dockerd}"}
    execute(["docker", "load", "-i", layout], there)
    execute(["docker", "tag", "moved:1", "again:1"], there)
    execute(["docker", "save", "-o", old, "again:1"], there)
    assert engine.docker("load", "-i", old).stdout == "Loaded image: again:1\n"
    shown = engine.docker("inspect", "-f", "{{.Config.Labels.moved}}", "again:1").stdout
    assert shown == "yes\n"
    # What was loaded is built on.
    text = 'FROM again:1\nRUN ["/bin/sh", "-c", ": < /hi && : < /f"]\n'
    engine.docker("build", "--network=host", engine.sandbox.context("on", {"Dockerfile": text}))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ends too early"),
        (b"x" * 2000, "is no tar"),
        (bytes(1024), "neither index.json nor manifest.json"),
    ],
)
def test_archives_that_are_none(engine: Engine, tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "archive").write_bytes(data)
    refused = engine.docker("load", "-i", tmp_path / "archive", check=False)
    assert refused.code == 1
    assert words in refused.stderr


def test_a_build_without_a_name_is_dangling(engine: Engine, context: Path) -> None:
    engine.docker("build", "--label", "nameless=yes", context)
    nameless = ("images", "-q", "--filter", "label=nameless", "--filter")
    id = engine.docker(*nameless, "dangling=true").stdout.strip()
    assert id
    assert not engine.docker(*nameless, "dangling=false").stdout
    assert engine.docker("rmi", id).stdout.startswith("Deleted: sha256:")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/images/none/json", 404, "No such image: none:latest"),
        ("/images/NONE/json", 400, "repository name (library/NONE) must be lowercase"),
        ("/images/json?filters={", 400, "invalid filters"),
        ('/images/json?filters={"x":["y"]}', 400, "invalid filter 'x'"),
        ("/images/none/json?platform=x", 400, "invalid platform"),
        ('/images/none/json?platform={"os":"linux"}', 400, "invalid platform"),
        ("/images/none/json?platform=linux&manifests=1", 400, "cannot both be set"),
        ("/images/none/get?platform=linux", 404, "No such image: none:latest"),
        (f"/v1.{'9' * 5000}/info", 404, "page not found"),
        ("/v999999999.1/info", 400, "is too new"),
        ("/images/search?term=a", 501, "GET /images/search is not served here"),
    ],
)
def test_mistakes_about_images(engine: Engine, path: str, status: int, words: str) -> None:
    answer, body = engine.ask("GET", path)
    assert answer.status == status
    assert words in json.loads(body)["message"]


@pytest.mark.parametrize("client", DOCKER)
def test_a_build_that_fails_says_why(engine: Engine, client: str) -> None:
    context = engine.sandbox.context("bad", {"Dockerfile": "FROM scratch\nCOPY nothing /\n"})
    failed = engine.docker("build", "--network=host", context, client=client, check=False)
    assert failed.code == 1
    assert '"/nothing": not found' in failed.stderr


@pytest.mark.parametrize("client", DOCKER)
def test_an_aborted_client_leaves_nothing(engine: Engine, context: Path, client: str) -> None:
    slow = (context / "Dockerfile").read_text().replace("echo hi > /hi", "while :; do :; done")
    where = engine.sandbox.context("slow", {"Dockerfile": slow, "f": ""})
    (where / "busybox").write_bytes((context / "busybox").read_bytes())
    words = [client, "build", "--progress=plain", "."]
    with subprocess.Popen(words, env=engine.env, cwd=where, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"while :" in line:
                break
        process.kill()
    bundles = engine.sandbox.root / "executor"
    eventually(
        lambda: not [p for p in engine.sandbox.leftovers() if "while :" in p or "/bundle" in p],
        lambda: f"{engine.sandbox.leftovers()} {list(bundles.iterdir())}",
    )


def test_versions_of_the_api_are_served_within_bounds(engine: Engine) -> None:
    answer, body = engine.ask("GET", "/_ping")
    assert (answer.status, body) == (200, b"OK")
    assert answer.headers["Builder-Version"] == "2"
    current = answer.headers["Api-Version"]
    answer, body = engine.ask("HEAD", "/_ping")
    assert (answer.status, body) == (200, b"")
    for version in ("1.22", "1.24", current):
        assert engine.ask("GET", f"/v{version}/version")[0].status == 200
    answer, body = engine.ask("GET", "/v1.12/info")
    assert answer.status == 400
    assert b"client version 1.12 is too old. Minimum supported API version is 1.22" in body
    answer, body = engine.ask("GET", "/v9.1/info")
    assert (answer.status, "too new" in json.loads(body)["message"]) == (400, True)


@pytest.mark.parametrize("client", DOCKER)
def test_docker_version_and_info(engine: Engine, client: str) -> None:
    assert "Croze" in engine.docker("version", client=client).stdout
    assert f"Docker Root Dir: {engine.sandbox.root}" in engine.docker("info", client=client).stdout


@pytest.mark.parametrize("prefix", ["", "/v1.41"])
def test_what_is_not_served_is_refused_by_name(engine: Engine, prefix: str) -> None:
    answer, body = engine.ask("POST", f"{prefix}/containers/x/pause")
    assert answer.status == 501
    assert json.loads(body)["message"].startswith("POST /containers/x/pause of Docker's API is not")


def test_grpc_without_an_upgrade(engine: Engine) -> None:
    for path in ("/grpc", "/session"):
        answer, body = engine.ask("POST", path)
        assert answer.status == 400
        assert "no upgrade" in json.loads(body)["message"]


def test_clients_that_vanish_and_nonsense_leave_nothing(engine: Engine) -> None:
    assert engine.sandbox.daemon is not None
    open_files = Path(f"/proc/{engine.sandbox.daemon.pid}/fd")
    engine.ask("GET", "/_ping")
    before = len(list(open_files.iterdir()))
    clients = []
    for number in range(50):
        uuid = f"X-Docker-Expose-Session-Uuid: vanishes{number}"
        for path, after in (("/grpc", b""), ("/session", b"nonsense" * 100)):
            clients.append(_upgraded(engine.path, path, uuid))
            clients[-1].sendall(after)
    with socket.socket(socket.AF_UNIX) as nonsense:
        nonsense.connect(str(engine.path))
        nonsense.sendall(b"POST /grpc HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n")
        assert nonsense.recv(100).startswith(b"HTTP/1.0 400 ")
    for client in clients:
        client.close()
    eventually(
        lambda: len(list(open_files.iterdir())) <= before + 3,
        lambda: f"{before} {len(list(open_files.iterdir()))}",
    )


def _upgraded(at: Path, path: str, header: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(at))
    head = [f"POST {path} HTTP/1.1", "Host: d", "Connection: Upgrade", "Upgrade: h2c", header]
    client.sendall("\r\n".join([*head, "", ""]).encode())
    assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
    return client


def test_tcp_is_refused_without_certificates(engine: Engine) -> None:
    words = ["--docker-api", "tcp://127.0.0.1:0", "--root", str(engine.sandbox.path / "other")]
    python = str(engine.sandbox.python[0])
    for more in ([], ["--tlscert=x", "--tlskey=y"]):
        command = [python, "-m", "croze.daemon", *words, *more]
        refused = execute(command, engine.env, check=False)
        assert refused.code == 1
        assert "--docker-api tcp://127.0.0.1:0 is not supported without --tls" in refused.stderr


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_dockerd(tmp_path_factory.mktemp("dockerd")) as host:
        yield Path(host.removeprefix("unix://"))


def test_answers_as_debians_dockerd(engine: Engine, dockerd: Path, context: Path) -> None:
    """The same build on both by the same client: field by field the same, and the same errors."""
    env = {**engine.env, "DOCKER_HOST": f"unix://{dockerd}"}
    for each in (engine.env, env):
        execute(["docker", "build", "--network=host", "-t", "same", context], each)
    for path in (
        "/v1.41/images/same/json",
        "/v1.41/images/json?filters={%22reference%22:[%22same%22]}",
    ):
        ours, theirs = (json.loads(ask(at, "GET", path)[1]) for at in (engine.path, dockerd))
        if isinstance(ours, list):
            (ours,), (theirs,) = ours, theirs
        shared = theirs.keys() - OLD
        assert shared <= ours.keys()
        assert ours.keys() - theirs.keys() <= {"Variant"}
        for key in shared - OWN:
            assert plain(ours[key]) == plain(theirs[key]), key
        for key in shared & OWN:
            assert alike(ours[key], theirs[key]), key
    path = "/v1.41/images/same/history"
    ours, theirs = (json.loads(ask(at, "GET", path)[1]) for at in (engine.path, dockerd))
    assert [row["Tags"] for row in ours] == [row["Tags"] for row in theirs]
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    assert [row["Size"] > 0 for row in ours] == [row["Size"] > 0 for row in theirs]
    for method, path in (
        ("GET", "/v1.41/images/none/json"),
        ("GET", "/v1.41/images/NONE/json"),
        ("DELETE", "/v1.41/images/none:1"),
        ("GET", "/v1.41/images/none/history"),
        ("POST", "/v1.41/images/none/tag?repo=x"),
        ("POST", "/v1.41/images/same/tag?repo=A"),
        ("GET", "/v1.41/images/json?filters={%22x%22:[%22y%22]}"),
        ("GET", "/v1.41/containers/none/json"),
    ):
        (our, our_body), (their, their_body) = (
            ask(at, method, path) for at in (engine.path, dockerd)
        )
        ours, theirs = json.loads(our_body)["message"], json.loads(their_body)["message"]
        # Docker 20 said some of it twice, and less of names; it took a bad tag for its own mistake.
        assert theirs.lower().endswith(re.sub(r"\(\S+\) ", "", ours).lower())
        assert our.status == (400 if their.status == 500 else their.status)
    for path in ("/v1.41/version", "/v1.41/info"):
        ours, theirs = (json.loads(ask(at, "GET", path)[1]) for at in (engine.path, dockerd))
        for key in ours.keys() & theirs.keys():
            assert alike(ours[key], theirs[key]), key
