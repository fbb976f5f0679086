"""The public images that the suites build on, made on the spot: busybox under all their names."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import subprocess
import tarfile
from pathlib import Path

from croze.http.urls import parse_url
from tests.e2e import images
from tests.e2e.sandbox import execute, registry
from tests.suites.packages import add_packages

BUILDKIT = "moby/buildkit:buildx-stable-1"
NAMES = {
    "busybox": (
        *("library/busybox:latest", "library/busybox:stable-musl"),
        *(BUILDKIT, "docker/dockerfile-upstream:1.18.0"),
    ),
    "alpine": ("library/alpine:latest", "library/alpine:3.21", "library/busybox_amd64:latest"),
    "debian": ("amd64/debian:bullseye-20230109-slim", "tonistiigi/hellofs:latest"),
    "nothing": ("tonistiigi/test:nolayers",),
}
_IDS = (
    "root:0 daemon:1 bin:2 sys:3 adm:4 tty:5 disk:6 lp:7 mail:8 kmem:9 wheel:10 www-data:33 "
    "operator:37 staff:50 users:100 nobody:65534"
)
FOREIGN = "cpuguy83/buildkit-foreign"
"""An image whose first layer is to be had elsewhere."""
_SETTINGS = "validation: {manifests: {urls: {allow: ['.*']}}}\n"
_FOLDERS = (
    *("bin", "dev", "etc", "home", "lib", "proc", "root", "sys", "tmp", "usr", "var"),
    *("usr/bin", "usr/sbin"),
)
_MODES = {"tmp": 0o1777, "root": 0o700}
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SCANNER = "docker/buildkit-syft-scanner:stable-1"
"""What makes SBOMs where nobody says which: here of nothing in particular."""
_STATEMENT = {
    "_type": "https://in-toto.io/Statement/v0.1",
    "predicateType": "https://spdx.dev/Document",
    "predicate": {"SPDXID": "SPDXRef-DOCUMENT", "name": "nothing", "spdxVersion": "SPDX-2.3"},
}
_SCAN = f"echo '{json.dumps(_STATEMENT)}' >\"$BUILDKIT_SCAN_DESTINATION/scan.spdx.json\""
_DAEMON: dict[str, object] = {
    "Env": [_PATH],
    "Entrypoint": ["buildkitd"],
    "Volumes": {"/var/lib/buildkit": {}},
}
_TTYSIZE = b"#!/bin/sh\nset -- $(stty size)\necho $2 $1\n"
_ADDUSER = """#!/bin/sh
# Debian's static busybox has none.
id=$((1000 + $(grep -c ':x:1[0-9][0-9][0-9]:' /etc/passwd)))
while [ $# -gt 1 ]; do
  case "$1" in -u) id=$2; shift ;; -h | -g | -s | -G | -k) shift ;; esac
  shift
done
echo "$1:x:$id:$id:Linux User,,,:/home/$1:/bin/sh" >>/etc/passwd
echo "$1:x:$id:" >>/etc/group
mkdir -p "/home/$1" && chown "$id:$id" "/home/$1"
"""


def fill(folder: Path, daemon: Path | None = None) -> None:
    """Make `folder` a registry's, with all images in it. `daemon`: the files of BuildKit's own."""
    layouts = folder.with_name("layouts")
    for name in NAMES:
        layers = [] if name == "nothing" else [_layer(alpine=name == "alpine")]
        images.write_layout(layouts / name, layers, {"Env": [_PATH], "Cmd": ["sh"]})
    with registry(folder, _SETTINGS) as host:
        for name, references in NAMES.items():
            for reference in references:
                _push(layouts / name, f"{host}/{reference}")
        config: dict[str, object] = {"Env": [_PATH], "Cmd": ["sh", "-c", _SCAN]}
        images.write_layout(layouts / "scanner", [_layer(alpine=False)], config)
        _push(layouts / "scanner", f"{host}/{SCANNER}")
        _push_foreign(host)
        if daemon is not None:
            layers = [_layer(alpine=False), files_layer(daemon)]
            images.write_layout(layouts / "daemon", layers, _DAEMON)
            _push(layouts / "daemon", f"{host}/{BUILDKIT}")


def _push(layout: Path, reference: str) -> None:
    copy = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"]
    words = [*copy, f"oci:{layout}:latest", f"docker://{reference}"]
    execute(words, {"PATH": "/usr/bin:/bin"})


def files_layer(root: Path) -> bytes:
    """A layer of all files below `root`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(root, ".")
    return out.getvalue()


def _push_foreign(host: str) -> None:
    """As no client would: with the bytes of a layer that it says is not for registries."""
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar"
    layers = [_layer(alpine=False), bytes(1024)]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
    }
    blobs = [json.dumps(config).encode(), *layers]
    types = ["application/vnd.docker.container.image.v1+json", kind, kind.replace(".foreign", "")]
    described: list[dict[str, object]] = [
        {"mediaType": kind, "digest": _digest(data), "size": len(data)}
        for kind, data in zip(types, blobs, strict=True)
    ]
    described[1]["urls"] = ["https://elsewhere.example/layer"]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": described[0],
        "layers": described[1:],
    }
    for data in blobs:
        started = _send(host, "POST", f"/v2/{FOREIGN}/blobs/uploads/", b"", "")
        _send(host, "PUT", f"{started}&digest={_digest(data)}", data, "application/octet-stream")
    data = json.dumps(manifest).encode()
    _send(host, "PUT", f"/v2/{FOREIGN}/manifests/latest", data, str(manifest["mediaType"]))


def _send(host: str, method: str, url: str, body: bytes, kind: str) -> str:
    """Where the answer leads to."""
    connection = http.client.HTTPConnection(host)
    parts = parse_url(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    connection.request(method, path, body, {"Content-Type": kind} if kind else {})
    answer = connection.getresponse()
    assert answer.status < 300, (method, url, answer.status, answer.read())
    answer.read()
    connection.close()
    return answer.headers.get("Location", "")


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _layer(*, alpine: bool) -> bytes:
    listed = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in [
            "bin",
            "dev",
            "etc",
            "home",
            "lib",
            "proc",
            "root",
            "sys",
            "usr",
            "usr/bin",
            "usr/sbin",
            "var",
            "tmp",
        ]:
            _add(archive, name, kind=tarfile.DIRTYPE, mode=_MODES.get(name, 0o755))
        _add(archive, "bin/busybox", images.busybox().read_bytes(), mode=0o755)
        for applet in sorted({*listed.stdout.split(), "env"} - {"busybox"}):
            _add(archive, f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox")
        _add(archive, "usr/bin/env", kind=tarfile.SYMTYPE, target="../../bin/busybox")
        _add(archive, "usr/sbin/adduser", _ADDUSER.encode(), mode=0o755)
        _add(archive, "usr/bin/ttysize", _TTYSIZE, mode=0o755)
        pairs = [pair.split(":") for pair in _IDS.split()]
        users = "".join(f"{n}:x:{i}:{i}:{n}:/{n}:/bin/sh\n" for n, i in pairs)
        _add(archive, "etc/passwd", users.encode())
        members = {"wheel": "root"}
        groups = "".join(f"{n}:x:{i}:{members.get(n, '')}\n" for n, i in pairs)
        _add(archive, "etc/group", groups.encode())
        if alpine:
            for name in ("sbin", "etc/ssl", "etc/ssl/certs"):
                _add(archive, name, kind=tarfile.DIRTYPE, mode=0o755)
            _add(archive, "sbin/apk", add_packages(archive), mode=0o755)
            _add(archive, "etc/ssl/certs/ca-certificates.crt", b"none\n")
            _add(archive, "etc/alpine-release", b"3.18.4\n")
            _add(archive, "etc/os-release", b'NAME="Alpine Linux"\nID=alpine\n')
    return out.getvalue()


def _add(
    archive: tarfile.TarFile,
    name: str,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o644,
    target: str = "",
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, target, len(data)
    archive.addfile(info, io.BytesIO(data))
