"""The public images that the suites build on, made on the spot: busybox under all their names."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from tests.e2e import images
from tests.e2e.sandbox import execute, registry

NAMES = {
    "busybox": ("library/busybox:latest", "library/busybox:stable-musl"),
    "alpine": ("library/alpine:latest", "library/busybox_amd64:latest"),
    "foreign": ("cpuguy83/buildkit-foreign:latest",),
    "debian": ("amd64/debian:bullseye-20230109-slim", "tonistiigi/hellofs:latest"),
    "nothing": ("tonistiigi/test:nolayers",),
}
_IDS = (
    "root:0 daemon:1 bin:2 sys:3 adm:4 tty:5 disk:6 lp:7 mail:8 kmem:9 wheel:10 www-data:33 "
    "operator:37 staff:50 users:100 nobody:65534"
)
_FOLDERS = (
    *("bin", "dev", "etc", "home", "lib", "proc", "root", "sys", "tmp", "usr", "var"),
    *("usr/bin", "usr/sbin"),
)
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ADDUSER = """#!/bin/sh
# Debian's static busybox has none.
id=1000
while [ $# -gt 1 ]; do
  case "$1" in -u) id=$2; shift ;; -h | -g | -s | -G | -k) shift ;; esac
  shift
done
echo "$1:x:$id:$id:Linux User,,,:/home/$1:/bin/sh" >>/etc/passwd
echo "$1:x:$id:" >>/etc/group
mkdir -p "/home/$1" && chown "$id:$id" "/home/$1"
"""


def fill(folder: Path) -> None:
    """Make `folder` a registry's, with all images in it."""
    layouts = folder.with_name("layouts")
    for name in NAMES:
        layers = [] if name == "nothing" else [_layer(alpine=name == "alpine")]
        images.write_layout(layouts / name, layers, {"Env": [_PATH], "Cmd": ["sh"]})
    with registry(folder) as host:
        for name, references in NAMES.items():
            for reference in references:
                copy = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"]
                source = f"oci:{layouts / name}:latest"
                execute([*copy, source, f"docker://{host}/{reference}"], {"PATH": "/usr/bin:/bin"})


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
            _add(archive, name, kind=tarfile.DIRTYPE, mode=0o1777 if name == "tmp" else 0o755)
        _add(archive, "bin/busybox", images.busybox().read_bytes(), mode=0o755)
        for applet in {*listed.stdout.split(), "env"} - {"busybox"}:
            _add(archive, f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox")
        _add(archive, "usr/bin/env", kind=tarfile.SYMTYPE, target="../../bin/busybox")
        _add(archive, "usr/sbin/adduser", _ADDUSER.encode(), mode=0o755)
        pairs = [pair.split(":") for pair in _IDS.split()]
        users = "".join(f"{n}:x:{i}:{i}:{n}:/{n}:/bin/sh\n" for n, i in pairs)
        _add(archive, "etc/passwd", users.encode())
        _add(archive, "etc/group", "".join(f"{n}:x:{i}:\n" for n, i in pairs).encode())
        if alpine:
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
