"""Images by Docker's API: pulled, pushed, imported, pruned; events, and what all of it takes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.docker_engine import (
    DOCKER,
    Engine,
    Json,
    build,
    call,
    make_busybox,
    tar_of,
)
from tests.e2e.dockerd import own_dockerd
from tests.e2e.images import busybox_layer
from tests.e2e.sandbox import execute, registry
from tests.support.waiting import eventually

USER = "auth: {htpasswd: {realm: r, path: %s}}\n"
PASSWORD = "$2b$05$bVJ.ygb6er4o30GuudniaelB6etBmhY.6yx8eu.iVUNFm2rDWovR6"  # u:p


@pytest.fixture(scope="module")
def engine(engine: Engine) -> Engine:
    make_busybox(engine.path)
    return engine


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry") / "plain") as host:
        yield host


def said(lines: list[Json]) -> list[str]:
    """What is told of layers and images, without the bars."""
    told = [str(line.get("status", line.get("stream", ""))) for line in lines]
    told = [re.sub(r"[0-9a-f]{64}|size: \d+", "X", text) for text in told]
    bars = ("Pushing", "Downloading", "Extracting", "Verifying", "Waiting", "Mounted")
    return [text for text in told if not text.startswith(bars)]


def test_pushed_and_pulled_as_by_debians_dockerd(
    engine: Engine, host: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with own_dockerd(tmp_path_factory.mktemp("dockerd")) as theirs:
        path = Path(theirs.removeprefix("unix://"))
        ours = _moved(engine.path, f"{host}/same", "ours")
        assert ours == _moved(path, f"{host}/same", "theirs")


def _moved(at: Path, name: str, tag: str) -> list[tuple[int, list[str]]]:
    """What an engine tells of an image that it sends away twice, and gets back."""
    context = tar_of({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": tag})
    build(at, context, t=f"{name}:{tag}")
    nobody = {"X-Registry-Auth": "e30="}
    answers = []
    for _ in range(2):
        answers.append(call(at, "POST", f"/images/{name}/push?tag={tag}", headers=nobody))
        last = answers[-1][1][-1]
        assert last.get("aux", {}).keys() == {"Tag", "Digest", "Size"}, last
    call(at, "DELETE", f"/images/{name}:{tag}")
    call(at, "POST", "/build/prune?all=1")
    for wanted in (tag, tag, "none"):
        answers.append(call(at, "POST", f"/images/create?fromImage={name}&tag={wanted}"))
    told = [(status, [text.replace(tag, "T") for text in said(lines)]) for status, lines in answers]
    told.append((404, [str(answers[-1][1][-1]["message"])]))
    status, (found,) = call(at, "GET", f"/distribution/{name}:{tag}/json")
    return [*told, (status, [str(found["Platforms"]), *sorted(found["Descriptor"])])]


@pytest.mark.parametrize("client", DOCKER)
def test_docker_push_and_pull(engine: Engine, host: str, client: str) -> None:
    name = f"{host}/by{client.replace('/', '-')}:1"
    engine.docker("tag", "busybox", name, client=client)
    assert "digest: sha256:" in engine.docker("push", name, client=client).stdout
    id = engine.docker("inspect", "-f", "{{.Id}}", name).stdout
    engine.docker("rmi", name, client=client)
    assert "Downloaded newer image" in engine.docker("pull", name, client=client).stdout
    assert engine.docker("inspect", "-f", "{{.Id}}", name).stdout == id
    listed = engine.docker("pull", "-a", name.removesuffix(":1"), client=client).stdout
    assert "up to date" in listed
    refused = engine.docker("pull", f"{host}/none", client=client, check=False)
    assert "manifest unknown" in refused.stderr
    refused = engine.docker("push", f"{host}/none:1", client=client, check=False)
    assert "does not exist locally" in refused.stderr


def test_logins_open_registries_to_who_has_them(engine: Engine, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"u:{PASSWORD}\n")
    with registry(tmp_path / "closed", USER % users) as host:
        engine.docker("tag", "busybox", f"{host}/a")
        refused = engine.docker("push", f"{host}/a", check=False)
        denied = (
            "access denied, repository does not exist or may require authorization: "
            "authorization failed: no basic auth credentials\n"
        )
        assert (refused.code, refused.stderr) == (1, f"push {denied}")
        refused = engine.docker("pull", f"{host}/a", check=False)
        where = f'Error response from daemon: failed to resolve reference "{host}/a:latest": '
        assert (refused.code, refused.stderr) == (1, f"{where}pull {denied}")
        login = ("login", "-u", "u", "--password-stdin", host)
        words: list[str | Path] = ["/usr/bin/docker", *login]
        assert execute(words, engine.env, stdin=b"no", check=False).code == 1
        assert "Login Succeeded" in execute(words, engine.env, stdin=b"p").stdout
        engine.docker("push", f"{host}/a")
        engine.docker("rmi", f"{host}/a")
        engine.docker("pull", f"{host}/a")
        # A build of the classic kind gets its logins in a header.
        logins = base64.urlsafe_b64encode(
            json.dumps({host: {"username": "u", "password": "p"}}).encode()
        ).decode()
        context = tar_of({"Dockerfile": f"FROM {host}/a\nLABEL x=y\n"})
        told = build(engine.path, context, {"X-Registry-Config": logins}, pull="1")[1]
        assert "Successfully built" in json.dumps(told), told
        told = build(engine.path, context, pull="1")[1]
        assert "authorization failed" in json.dumps(told) or "401" in json.dumps(told), told
        engine.docker("logout", host)


def test_trees_are_imported(engine: Engine, tmp_path: Path) -> None:
    tree = tmp_path / "tree.tar"
    tree.write_bytes(busybox_layer())
    changes = ("-c", "CMD echo imported", "-c", "ENV A=b")
    id = engine.docker("import", *changes, tree, "imported:1").stdout.strip()
    shown = engine.docker("inspect", "-f", "{{.Id}} {{.Config.Env}} {{.Config.Cmd}}", "imported:1")
    assert shown.stdout.split(maxsplit=1)[0] == id
    assert "A=b" in shown.stdout
    assert engine.docker("run", "--rm", "imported:1").stdout == "imported\n"
    for change, words in (("RUN x", "run is not a valid change command"), ("CMD [", "")):
        refused = engine.docker("import", "-c", change, tree, check=False)
        assert (refused.code == 1 and words in refused.stderr) or change == "CMD ["
    tree.write_bytes(b"nonsense" * 300)
    refused = engine.docker("import", tree, check=False)
    assert "archive/tar: invalid tar header" in refused.stderr


@pytest.mark.parametrize("archive", [b"", bytes(1024), bytes(10240)])
def test_an_archive_of_nothing_is_imported(engine: Engine, tmp_path: Path, archive: bytes) -> None:
    """As one empty layer; Docker takes no byte for an archive, too."""
    tree = tmp_path / "nothing.tar"
    tree.write_bytes(archive)
    id = engine.docker("import", tree).stdout.strip()
    shown = engine.docker("inspect", "-f", "{{json .RootFS.Layers}}", id)
    empty = hashlib.sha256(bytes(1024)).hexdigest()
    assert json.loads(shown.stdout) == [f"sha256:{empty}"]


def test_what_is_pruned(engine: Engine) -> None:
    for name, labels in (("kept", '{"a":"1"}'), ("", '{"a":"2"}'), ("", '{"a":"3"}')):
        context = tar_of({"Dockerfile": "FROM scratch\n"})
        build(engine.path, context, labels=labels, t=name)
    build(engine.path, tar_of({"Dockerfile": "FROM busybox\nLABEL held=y\n"}), t="held")
    engine.docker("create", "--name", "holds", "held", "true")

    def prune(filters: object) -> list[Json]:
        path = f"/images/prune?filters={json.dumps(filters, separators=(',', ':'))}"
        status, (answer,) = call(engine.path, "POST", path.replace('"', "%22"))
        assert status == 200, answer
        found: list[Json] = answer["ImagesDeleted"] or []
        return [line for line in found if "Deleted" in line]

    assert len(prune({"label": ["a=2"]})) == 1
    assert prune({"until": ["0"]}) == []
    assert len(prune({"label!": ["a=1"], "dangling": ["true"]})) >= 1
    names = engine.docker("images", "--format", "{{.Repository}}").stdout.split()
    assert {"kept", "held"} <= set(names)
    assert len(prune({"dangling": ["false"], "label": ["a"]})) == 1
    assert "kept" not in engine.docker("images", "--format", "{{.Repository}}").stdout.split()
    assert prune({"dangling": ["false"]}) != []
    assert engine.docker("images", "-q", "held").stdout  # a container uses it
    refused = engine.docker("rmi", "held", check=False)
    assert "unable to remove repository reference" in refused.stderr
    engine.docker("rm", "holds")
    make_busybox(engine.path)


def test_images_without_layers_survive_a_prune(engine: Engine) -> None:
    build(engine.path, tar_of({"Dockerfile": "FROM scratch\nUSER me\n"}), t="empty")
    call(engine.path, "POST", "/build/prune?all=1")
    assert engine.docker("inspect", "-f", "{{.Config.User}}", "empty").stdout == "me\n"


def test_lists_say_what_is_asked(engine: Engine) -> None:
    build(engine.path, tar_of({"Dockerfile": "FROM busybox\nLABEL shares=layers\n"}), t="shares")
    rows = call(engine.path, "GET", "/images/json?shared-size=1&manifests=1&digests=1")[1][0]
    (row,) = [row for row in rows if "shares:latest" in (row["RepoTags"] or ())]
    assert row["SharedSize"] > 0
    assert [entry["Kind"] for entry in row["Manifests"]] == ["image"]
    assert row["RepoDigests"][0].startswith("shares@sha256:")
    (about,) = call(engine.path, "GET", "/system/df")[1]
    assert about["LayersSize"] > 0
    assert {row["Id"] for row in about["Images"]} == {row["Id"] for row in rows}
    assert "Images" in engine.docker("system", "df").stdout
    assert call(engine.path, "GET", "/system/df?type=nothing")[0] == 400
    assert call(engine.path, "GET", "/images/json?filters={%22until%22:[%22x%22]}")[0] == 400


def test_events_tell_of_all_that_happens_to_images(
    engine: Engine, host: str, tmp_path: Path
) -> None:
    words = ["docker", "events", "--format", "{{.Type}} {{.Action}}", "--filter", "type=image"]
    with subprocess.Popen(words, env=engine.env, stdout=subprocess.PIPE) as process:
        try:
            eventually(lambda: call(engine.path, "GET", "/info")[1][0]["NEventsListener"])
            _do_everything(engine, f"{host}/events:1", tmp_path)
            assert process.stdout is not None
            seen: list[str] = []
            while not seen or "prune" not in seen[-1]:
                seen.append(process.stdout.readline().decode().strip())
                assert seen[-1]
        finally:
            process.kill()
    actions = [line.split()[1] for line in seen]
    for action in ("tag", "push", "save", "untag", "load", "pull", "import", "prune"):
        assert action in actions, (action, actions)
    assert actions.count("tag") >= 3  # ours, the import's, and croze's own
    past = execute([*words, "--since", "1", "--until", "0s"], engine.env).stdout.split("\n")
    assert len([line for line in past if line]) >= len(seen)
    assert call(engine.path, "GET", "/events?filters={%22x%22:[%22y%22]}")[0] == 400


def _do_everything(engine: Engine, name: str, tmp_path: Path) -> None:
    engine.docker("tag", "busybox", name)
    engine.docker("push", name)
    engine.docker("save", "-o", tmp_path / "a.tar", name)
    engine.docker("rmi", name)
    engine.docker("load", "-i", tmp_path / "a.tar")
    engine.docker("pull", name)
    (tmp_path / "t.tar").write_bytes(tar_of({"f": "f"}))
    engine.docker("import", tmp_path / "t.tar", "from-tree")
    engine.sandbox.croze("build", "-t", "by-croze", engine.sandbox.context("e", EMPTY))
    engine.docker("image", "prune", "-f")


EMPTY = {"Dockerfile": "FROM scratch\n"}


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/images/search?term=a", 501, "GET /images/search is not served here"),
        ("POST", "/commit?container=a", 501, "POST /commit is not served here"),
        ("POST", "/images/create", 400, "neither fromImage nor fromSrc"),
        ("POST", "/images/create?fromImage=A", 400, "must be lowercase"),
        ("POST", "/images/create?fromImage=a&platform=x", 400, "unknown operating system"),
        ("POST", "/images/create?fromSrc=x", 400, "fromSrc=x: use - or an address"),
        ("POST", "/images/create?fromSrc=-&message=x", 501, "message= is not served here"),
        ("POST", "/auth", 400, "invalid login"),
        ("POST", "/swarm/init", 501, "POST /swarm/init of Docker's API is not served here"),
        ("GET", "/nowhere", 404, "page not found"),
    ],
)
def test_what_is_not_served_is_refused_by_name(
    engine: Engine, method: str, path: str, status: int, words: str
) -> None:
    answer, lines = call(engine.path, method, path)
    assert (answer, words in str(lines[-1]["message"])) == (status, True), lines
