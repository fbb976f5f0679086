"""Docker's API with clients that mean harm, and disks that are full: one clear answer, and the
daemon goes on."""

from __future__ import annotations

import json
import socket
import subprocess
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from croze.digests import digest_of
from croze.engineapi.connections import room
from croze.engineapi.images.load import MEMBERS_MOST, NAMES_MOST
from croze.image.descriptor import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tests.e2e.disks import leave
from tests.e2e.docker_engine import Engine, call, make_busybox, running_engine, tar_of
from tests.support.waiting import eventually


def doubling(depth: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Indexes that each name the next one twice, and the files of their blobs: 2**depth paths."""
    missing = {"mediaType": "application/json", "digest": f"sha256:{'0' * 64}", "size": 2}
    content: dict[str, Any] = {"schemaVersion": 2, "config": missing, "layers": []}
    kind, files = OCI_MANIFEST, {}
    while True:
        data = json.dumps({"mediaType": kind, **content}).encode()
        files[f"blobs/sha256/{digest_of(data).removeprefix('sha256:')}"] = data
        child = {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
        if len(files) > depth:
            return child, files
        kind, content = OCI_INDEX, {"schemaVersion": 2, "manifests": [child, child]}


def layout(root: dict[str, Any], files: dict[str, bytes]) -> dict[str, str | bytes]:
    index = {"schemaVersion": 2, "manifests": [root]}
    version = '{"imageLayoutVersion": "1.0.0"}'
    return {**files, "oci-layout": version, "index.json": json.dumps(index)}


def long_header() -> bytes:
    """A pax header of very many records."""
    records = b"5 a=\n" * 200_000
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    return info.tobuf(tarfile.USTAR_FORMAT) + records + b"\0" * (-len(records) % 512)


def test_indexes_with_more_paths_than_anyone_walks(engine: Engine) -> None:
    root, files = doubling(40)
    loaded = call(engine.path, "POST", "/images/load", tar_of(layout(root, files)))[1]
    assert "the archive lacks the content of" in loaded[0]["error"]
    folder = engine.sandbox.context("doubling", layout(root, files))
    context = engine.sandbox.context("from", {"Dockerfile": "FROM x\n"})
    flag = f"--build-context=x=oci-layout://{folder}@{root['digest']}"
    done = engine.sandbox.croze("build", flag, context, check=False)
    assert "ERROR:" in done.stderr
    assert engine.ask("GET", "/_ping")[0].status == 200


def test_headers_with_more_records_than_anyone_reads(engine: Engine) -> None:
    [told] = call(engine.path, "POST", "/images/load", long_header() * 20)[1]
    assert told["error"].endswith("in the archive")
    assert engine.ask("GET", "/_ping")[0].status == 200


def _named(header: bytes, number: int) -> bytes:
    """The header of another member, with the checksum that it needs."""
    name = b"%08d" % number
    sums = sum(name + header[8:148] + b" " * 8 + header[156:])
    return name + header[8:148] + b"%06o\0 " % sums + header[156:]


def test_more_members_than_any_image_has(engine: Engine) -> None:
    link = tarfile.TarInfo("x")
    link.type, link.linkname = tarfile.SYMTYPE, "y"
    header = link.tobuf(tarfile.USTAR_FORMAT)
    named = b"".join(_named(header, number) for number in range(MEMBERS_MOST + 1))
    [told] = call(engine.path, "POST", "/images/load", named)[1]
    assert told["error"] == f"the archive has more than {MEMBERS_MOST} members"


def listed(*entries: dict[str, Any], config: bytes = b"") -> bytes:
    """An archive of Docker's own form; each image has this configuration and any layers."""
    base = b'{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}'
    files: dict[str, str | bytes] = {"c": config or base, "l": "layer"}
    images = [{"Config": "c", "Layers": [], **entry} for entry in entries]
    return tar_of({**files, "manifest.json": json.dumps(images)})


def test_more_images_than_anyone_names(engine: Engine) -> None:
    """Each name is written to disk, and each image looked at."""
    told = f"the archive names more than {NAMES_MOST} images"
    tags = [f"x:{number}" for number in range(NAMES_MOST + 1)]
    root, files = odd_image("again", {})
    index = json.dumps({"schemaVersion": 2, "manifests": [root] * (NAMES_MOST + 1)})
    for archive in (
        listed({"RepoTags": tags}),
        listed(*[{} for _ in tags]),
        tar_of({**layout(root, files), "index.json": index}),
    ):
        assert call(engine.path, "POST", "/images/load", archive)[1][0]["error"] == told
    assert engine.docker("images", "--quiet", "again").stdout == ""


def test_images_whose_configuration_is_of_other_layers(engine: Engine) -> None:
    other = listed({"RepoTags": ["none:1"], "Layers": ["l"] * 1000})
    told = call(engine.path, "POST", "/images/load", other)[1][0]["error"]
    assert told == "invalid manifest, layers length mismatch: expected 1000, got 0"
    none = listed({"RepoTags": ["none:1"]}, config=b"\xff no JSON")
    assert "invalid image config" in call(engine.path, "POST", "/images/load", none)[1][0]["error"]
    assert engine.docker("images", "--quiet", "none").stdout == ""


@pytest.mark.parametrize("depth", [400, 700, 100_000])
def test_json_that_is_nested_without_end(engine: Engine, depth: int) -> None:
    nested = b'{"Image":"x","a":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    status, told = call(engine.path, "POST", "/containers/create", nested)
    assert status in (400, 404), told
    query = urlencode({"filters": "[" * depth, "outputs": "[" * depth, "version": "2"})
    for method, path in (("GET", "/images/json"), ("POST", "/build")):
        status, [told] = call(engine.path, method, f"{path}?session=x&{query}")
        assert (status, "message" in told) == (400, True)


def test_a_layer_that_looks_like_a_manifest_without_end(engine: Engine) -> None:
    """Whoever collects garbage reads what blobs name."""
    layer = b'{"x":' + b"[" * 100_000
    config = b'{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}'
    kinds = {"config": (config, OCI_CONFIG), "layer": (layer, OCI_LAYER)}
    named: dict[str, Any] = {
        name: {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
        for name, (data, kind) in kinds.items()
    }
    manifest = {"schemaVersion": 2, "config": named["config"], "layers": [named["layer"]]}
    data = json.dumps({"mediaType": OCI_MANIFEST, **manifest}).encode()
    root: dict[str, Any] = {
        "mediaType": OCI_MANIFEST,
        "digest": digest_of(data),
        "size": len(data),
    }
    blobs = (data, config, layer)
    files = {f"blobs/sha256/{digest_of(each).removeprefix('sha256:')}": each for each in blobs}
    [told] = call(engine.path, "POST", "/images/load", tar_of(layout(root, files)))[1]
    assert "Loaded image" in told["stream"]
    engine.sandbox.croze("prune", "--all", "--force")
    assert "0 problems" in engine.sandbox.croze("debug", "verify").stdout
    engine.docker("rmi", root["digest"])


def described(data: bytes, kind: str, **more: object) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **more}


def odd_image(
    name: str, config: dict[str, object], layer: bytes = b"", size: int = -1
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The root of an image, and its files. `size`: what is said of the layer's."""
    base = {"architecture": "amd64", "os": "linux"}
    diff_ids = {"rootfs": {"type": "layers", "diff_ids": [digest_of(layer)] if layer else []}}
    data = json.dumps({**base, **diff_ids, **config}).encode()
    layers = [described(layer, OCI_LAYER)] if layer else []
    if layer and size >= 0:
        layers[0]["size"] = size
    content = {"config": described(data, OCI_CONFIG), "layers": layers}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **content}).encode()
    named = {"io.containerd.image.name": f"docker.io/library/{name}:1"}
    blobs = (data, manifest, *([layer] if layer else []))
    files = {f"blobs/sha256/{digest_of(each).removeprefix('sha256:')}": each for each in blobs}
    return described(manifest, OCI_MANIFEST, annotations=named), files


def test_images_that_say_what_no_image_says(engine: Engine) -> None:
    """One of them in the store spoils no list of all."""
    row = {"created": "99999-01-01T00:00:00Z", "created_by": "x"}
    odd: dict[str, dict[str, object]] = {
        "soon": {"created": "soon"},
        "late": {"created": "99999-01-01T00:00:00Z", "history": [row]},
        "early": {"created": "0001-01-01T00:00:00"},
        "number": {"created": 5},
    }
    for name, config in odd.items():
        loaded = tar_of(layout(*odd_image(name, config)))
        assert "stream" in call(engine.path, "POST", "/images/load", loaded)[1][0]
    garbage = b"no manifest"
    root, files = odd_image("good", {})
    entries = [{**root, "annotations": {}}, described(garbage, OCI_MANIFEST)]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    for blob in (index, garbage):
        files[f"blobs/sha256/{digest_of(blob).removeprefix('sha256:')}"] = blob
    root = described(index, OCI_INDEX, annotations=root["annotations"])
    assert "stream" in call(engine.path, "POST", "/images/load", tar_of(layout(root, files)))[1][0]
    names = {*odd, "good"}
    assert names <= set(engine.docker("images", "--format", "{{.Repository}}").stdout.split())
    assert names <= set(engine.sandbox.croze("images").stdout.split())
    engine.docker("history", "late:1")
    engine.docker("system", "df")
    engine.docker("rmi", *(f"{name}:1" for name in names))


def test_sizes_that_are_not_so(engine: Engine) -> None:
    """Behind a size that is too small, a layer's bytes would be members of archives of its own."""
    inner = tar_of({"manifest.json": '[{"Config": "x", "RepoTags": ["owned:1"], "Layers": []}]'})
    root, files = odd_image("carrier", {}, inner)
    assert "stream" in call(engine.path, "POST", "/images/load", tar_of(layout(root, files)))[1][0]
    for size in (0, (1 << 64) - 1):
        root, files = odd_image("smuggler", {}, inner, size)
        [told] = call(engine.path, "POST", "/images/load", tar_of(layout(root, files)))[1]
        assert f"has {len(inner)} bytes, not {size} as is said of it" in told["error"]
        folder = engine.sandbox.context(f"smuggler-{size}", layout(root, files))
        context = engine.sandbox.context("from", {"Dockerfile": "FROM x\nLABEL a=b\n"})
        flag = f"--build-context=x=oci-layout://{folder}@{root['digest']}"
        out = engine.sandbox.path / "out.tar"
        done = engine.sandbox.croze(
            "build", flag, f"--output=type=oci,dest={out}", context, check=False
        )
        assert f"has {len(inner)} bytes, not {size} as is said of it" in done.stderr
        assert not out.exists()
    engine.docker("rmi", "carrier:1")
    assert engine.docker("images", "--quiet").stdout == ""


def test_numbers_of_any_length(engine: Engine) -> None:
    many = "9" * 5000
    status, answer = call(engine.path, "GET", f"/containers/json?limit={many}")
    assert (status, "value out of range" in str(answer)) == (400, True)


def test_a_container_that_removes_itself_is_restarted(engine: Engine) -> None:
    make_busybox(engine.path)
    loop = 'trap "exit 0" TERM; touch /was; ls /; while :; do sleep 0.05; done'
    engine.docker("run", "-d", "--rm", "--name", "auto", "busybox", "sh", "-c", loop)
    engine.docker("restart", "auto")
    assert engine.docker("ps", "--format", "{{.Names}}").stdout == "auto\n"
    engine.docker("stop", "auto")
    engine.docker("wait", "auto", check=False)
    eventually(lambda: not list((engine.sandbox.root / "containers").iterdir()))


def test_half_a_line_of_a_log(engine: Engine) -> None:
    make_busybox(engine.path)
    engine.docker("run", "--name", "half", "busybox", "echo", "one")
    [folder] = (engine.sandbox.root / "containers").iterdir()
    with open(folder / "log", "ab") as log:
        log.write(b'{"stream":1,"tim')
    engine.docker("start", "-a", "half")
    assert engine.docker("logs", "half").stdout == "one\none\n"
    engine.docker("rm", "half")


def test_connections_without_end(engine: Engine) -> None:
    """Those that ask for nothing make room for who does."""
    with ExitStack() as stack:
        for sent in (b"", b"GET /_ping HTTP/1.1\r\nX: ", b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"):
            for _ in range(room() // 2):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(str(engine.path))
                client.sendall(sent)
        assert engine.ask("GET", "/_ping")[1] == b"OK"
        assert engine.docker("images").code == 0


def test_heads_without_end(engine: Engine) -> None:
    """Neither those of a request, nor those of requests behind one that waits."""
    line = b"X: " + b"a" * (1 << 17) + b"\r\n"
    waiting = b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n"
    for first in (b"GET /_ping HTTP/1.1\r\nHost: d\r\n", waiting):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(engine.path))
            client.sendall(first)
            if first == waiting:
                assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
                line = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n" * (1 << 11)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                client.sendall(line * 1000)
    assert engine.ask("GET", "/_ping")[1] == b"OK"


def test_what_is_typed_before_there_is_an_answer(engine: Engine) -> None:
    """A client that does not wait for it: nothing of it is lost, nor taken for a request."""
    make_busybox(engine.path)
    engine.docker("create", "-i", "--name", "early", "busybox", "cat")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(engine.path))
        client.sendall(
            b"POST /containers/early/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n"
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(engine.path))
            query = b"stream=1&stdin=1&stdout=1"
            other.sendall(
                b"POST /containers/early/attach?" + query + b" HTTP/1.1\r\nHost: d\r\n\r\n"
            )
            assert other.recv(1000).startswith(b"HTTP/1.1 200 ")
            engine.docker("start", "early")
            other.sendall(b"typed\n")
            other.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: other.recv(1000), b""))[8:] == b"typed\n"
        told = b""
        while b"OK" not in told:
            told += client.recv(1000)
    engine.docker("rm", "early")


def test_a_wish_that_nobody_foresaw_ends_no_other(engine: Engine) -> None:
    make_busybox(engine.path)
    engine.docker("run", "-d", "--name", "stays", "busybox", "sleep", "1000")
    for words in (
        ["exec", "-u", "9" * 5000, "stays"],
        ["run", "--rm", "-u", "9" * 5000, "busybox"],
    ):
        refused = engine.docker(*words, "true", check=False)
        assert "uids and gids must be in range" in refused.output
    status, [told] = call(engine.path, "GET", "/containers/stays/top?ps_args=%00")
    assert (status, told["message"]) == (400, "ps_args: a zero byte")
    assert engine.docker("exec", "stays", "echo", "here").stdout == "here\n"
    engine.docker("rm", "-f", "stays")


def test_containers_on_a_full_disk(tmp_path: Path) -> None:
    root = tmp_path / "engine/root"
    root.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={32 << 20}", "tmpfs", root], check=True)
    try:
        with running_engine(root.parent) as engine:
            _fill_and_run(engine, root)
            engine.sandbox.stop()
            subprocess.run(["umount", root], check=True)
            engine.sandbox.start()
    finally:
        subprocess.run(["umount", root], check=False, stderr=subprocess.DEVNULL)


def _fill_and_run(engine: Engine, root: Path) -> None:
    make_busybox(engine.path)
    engine.docker("create", "--name", "one", "busybox", "echo", "hi")
    leave(root, 0)
    for words in (
        ("start", "one"),
        ("create", "--name", "two", "busybox"),
        ("rename", "one", "x1"),
    ):
        refused = engine.docker(*words, check=False)
        assert "no space left on device" in refused.stderr, (words, refused)
    big = tar_of({"big": bytes(32 << 20)})  # more than garbage collection can make room for
    status, told = call(engine.path, "PUT", "/containers/one/archive?path=/", big)
    assert (status, "no space left on device" in json.dumps(told)) == (500, True), (status, told)
    assert len(list((root / "containers").iterdir())) == 1
    (root / "filler").unlink()
    assert engine.docker("start", "-a", "one").stdout == "hi\n"
    engine.docker("rm", "one")
