"""Records in bundles: by croze and by Debian's buildx out of one daemon, and into others."""

from __future__ import annotations

import http.server
import json
import os
import re
import select
import signal
import socketserver
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.http.client import fetch
from tests.e2e.sandbox import BUILDX, CROZE, Sandbox, execute
from tests.support.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def built(desk: Sandbox) -> Sandbox:
    """A daemon with a build of two platforms and one that failed; `one` is a builder on it."""
    desk.croze("create", "--driver", "remote", "--name", "one", desk.address)
    context = desk.context(
        "c", {"Dockerfile": "FROM scratch\nCOPY f /\n", "D2": "FROM scratch\nCOPY no /\n", "f": "x"}
    )
    platforms = ["--platform", "linux/amd64,linux/arm64", "--provenance", "mode=max"]
    desk.croze("--builder", "one", "build", *platforms, "--output", "type=image", context)
    desk.croze("build", "--builder", "one", "-f", context / "D2", context, check=False)
    return desk


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Another machine's daemon, with nothing in it."""
    with Sandbox(tmp_path_factory.mktemp("other")).running() as made:
        yield made


def blobs(path: Path) -> dict[str, bytes]:
    """The archive's files; index and layers of records whose order Go leaves to chance apart."""
    with tarfile.open(path, "r:gz") as archive:
        return {
            entry.name: file.read()
            for entry in archive
            if (file := archive.extractfile(entry)) is not None
        }


def test_the_latest_record_as_buildx_writes_it(built: Sandbox, tmp_path: Path) -> None:
    """The same files in the archive, byte for byte."""
    words = ["history", "export", "--finalize", "-o"]
    built.croze("--builder", "one", *words, tmp_path / "ours")
    execute([BUILDX["sid"], "--builder", "one", *words, str(tmp_path / "theirs")], built.env)
    ours, theirs = blobs(tmp_path / "ours"), blobs(tmp_path / "theirs")
    assert sorted(ours) == sorted(theirs)
    assert ours == theirs
    assert len(ours) >= 6


def test_records_travel(built: Sandbox, other: Sandbox, tmp_path: Path) -> None:
    """Two records of buildx's bundle in another daemon: list, details, log, trace; out again."""
    bundle = tmp_path / "all.dockerbuild"
    export = [BUILDX["sid"], "--builder", "one", "history", "export", "--all", "--finalize"]
    execute([*map(str, export), "-o", str(bundle)], built.env)
    shown = other.croze("history", "import", stdin=bundle.read_bytes()).stdout.split()
    again = other.croze("history", "import", "-f", bundle).stdout.split()
    assert shown == again
    assert len(shown) == 2
    places = ((built, "one"), (other, "croze"))

    def both(*words: str) -> list[str]:
        said = (at.croze("--builder", builder, "history", *words) for at, builder in places)
        return [_plain(done.output) for done in said]

    lists = both("ls", "--format", "{{.Ref}} {{.Name}} {{.Status}} {{.Duration}}")
    assert lists[0] == lists[1]
    assert "c/D2 Error" in lists[1]
    for ref in (line.split()[0] for line in lists[0].splitlines()):
        for words in (["logs"], ["trace"]):
            here, there = both(*words, ref)
            assert here == there, words
        details = [json.loads(text) for text in both("inspect", "--format", "json", ref)]
        own, came = ([x["Digest"] for x in each.pop("Attachments", [])] for each in details)
        assert details[0] == details[1]
        assert set(came) <= set(own), "bundles hold of an index what it is, not what it names"
    out = tmp_path / "again.dockerbuild"
    other.croze("history", "export", "--all", "-o", out)
    assert len(blobs(out)) == len(blobs(bundle))
    for ref in shown:
        other.croze("history", "rm", ref.rpartition("/")[2])
    assert other.croze("history", "ls", "--format", "{{.Ref}}").stdout.strip() == ""


def _plain(text: str) -> str:
    """Without what tells machines and times of looking apart."""
    return re.sub(r'"FullRef": ?"[^"]*"|"Builder": ?"[^"]*"', "", text)


def test_a_daemon_of_another_kind_and_refusals(built: Sandbox, tmp_path: Path) -> None:
    for words, why in (
        (["export", "--all", "x"], "cannot specify refs when using --all"),
        (["export", "nope"], 'no record found for ref "nope"'),
        (["export", "-o", str(tmp_path / "no/file")], "failed to create output file"),
        (["import", "-f", str(tmp_path / "none")], "failed to open file"),
        (["import"], "not a bundle of build records"),
        (["open"], 'exec: "xdg-open,x-www-browser,www-browser": executable file not found'),
        (["trace", "^9"], "no completed build found with offset 7"),
    ):
        done = built.croze("--builder", "one", "history", *words, check=False)
        assert done.code == 1
        assert why in done.stderr


def test_forged_bundles_leave_nothing(built: Sandbox, other: Sandbox, tmp_path: Path) -> None:
    """A record that names what it does not bring, or a build that is under way."""
    built.croze("--builder", "one", "history", "export", "-o", tmp_path / "b")
    with tarfile.open(tmp_path / "b") as archive:
        archive.extractall(tmp_path / "t", filter="data")
    tree = tmp_path / "t/blobs/sha256"
    manifest = json.loads((tmp_path / "t/index.json").read_text())["manifests"][0]
    told = json.loads((tree / manifest["digest"][7:]).read_text())
    config = json.loads((tree / told["config"]["digest"][7:]).read_text())
    before = len(other.croze("debug", "verify").output)
    for change, why in (
        ({"logs": {**config["logs"], "digest": "sha256:" + "0" * 64}}, "not found"),
        ({"Ref": "../../evil"}, "needs a ref of letters and digits"),
        ({"CompletedAt": None}, "is not completed"),
        ({"CreatedAt": {"seconds": 1 << 62}}, "has a time that there is not"),
    ):
        forged = {**config, **change}
        forged = {key: value for key, value in forged.items() if value is not None}
        done = other.croze("history", "import", stdin=_bundle(tree, told, forged), check=False)
        assert done.code == 1
        assert why in done.stderr
    assert other.croze("history", "ls", "--format", "{{.Ref}}").stdout.strip() == ""
    assert len(other.croze("debug", "verify").output) == before


def _bundle(tree: Path, manifest: dict[str, object], config: dict[str, object]) -> bytes:
    from tests.client.records.bundled import described, tar_of

    data = json.dumps(config).encode()
    media_type = "application/vnd.buildkit.historyrecord.v0"
    top = json.dumps({**manifest, "config": described(data, media_type)}).encode()
    kind = "application/vnd.oci.image.manifest.v1+json"
    files = {f"blobs/sha256/{path.name}": path.read_bytes() for path in tree.iterdir()}
    for made in (data, top):
        digest = str(described(made, "")["digest"])
        files[f"blobs/{digest.replace(':', '/')}"] = made
    files["index.json"] = json.dumps(
        {"schemaVersion": 2, "manifests": [described(top, kind)]}
    ).encode()
    return tar_of(files).getvalue()


def test_docker_desktop_gets_bundles_where_it_is(
    built: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One that answers as Docker Desktop's socket does; a browser that writes down what it gets."""
    home = tmp_path_factory.mktemp("home")  # a path that a socket may have
    got: list[tuple[str, bytes]] = []

    class Desktop(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            got.append((self.path, body))
            answer = b'["r1"]'
            self.send_response(200 if body else 400)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

        def address_string(self) -> str:
            return "unix"

    socket = home / ".docker/desktop/docker-desktop-build.sock"
    socket.parent.mkdir(parents=True)
    browser = home / "bin/xdg-open"
    browser.parent.mkdir()
    browser.write_text(f'#!/bin/sh\necho "$1" >> {home}/opened\n')
    browser.chmod(0o755)
    env = {"HOME": str(home), "PATH": f"{browser.parent}:{os.environ['PATH']}"}
    with socketserver.ThreadingUnixStreamServer(str(socket), Desktop) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            done = built.croze("history", "import", "-f", "-", stdin=b"bundle", env=env)
            bad = built.croze("history", "import", stdin=b"", env=env, check=False)
            built.croze("--builder", "one", "history", "open", env=env)
        finally:
            server.shutdown()
            thread.join()
    assert got == [("/upload", b"bundle"), ("/upload", b"")]
    assert done.stderr.strip() == "docker-desktop://dashboard/build/.imported/_/r1"
    assert 'failed to import build: ["r1"]' in bad.stderr
    opened = (home / "opened").read_text().splitlines()
    assert opened[0] == done.stderr.strip()
    assert opened[1].startswith("docker-desktop://dashboard/build/one/one0/")


def test_traces_are_served(built: Sandbox) -> None:
    """Two builds beside one another, each by itself, and the JSON; until it is interrupted."""
    command = [str(CROZE), "--builder", "one", "history", "trace", "--compare", "^1"]
    with subprocess.Popen(command, env=built.env, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert select.select([process.stderr], [], [], 60)[0]
            url = process.stderr.readline().decode().split()[-1]
            text = _get(url)
            assert "Two traces" in text
            base, _, ids = url.partition("/trace/")
            for id in ids.split("..."):
                assert "JSON for Jaeger" in _get(f"{base}/trace/{id}")
                assert json.loads(_get(f"{base}/api/traces/{id}"))["data"][0]["traceID"] == id
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) in (0, 130)


def _get(url: str) -> str:
    return fetch(url).body.decode()


def test_a_trace_as_json(built: Sandbox) -> None:
    """As Jaeger's interface reads it; Debian's buildx has no `trace` to compare with."""
    (trace,) = json.loads(built.croze("--builder", "one", "history", "trace").stdout)["data"]
    spans = {span["spanID"]: span for span in trace["spans"]}
    assert all(span["traceID"] == trace["traceID"] for span in spans.values())
    failed = [span for span in spans.values() if "error" in {tag["key"] for tag in span["tags"]}]
    assert any("COPY no /" in span["operationName"] for span in failed)
    names = {trace["processes"][span["processID"]]["serviceName"] for span in spans.values()}
    assert names == {"buildkitd"}
