"""Base images for tests, made on the spot: busybox from Debian, as OCI layouts."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EPOCH = "2024-01-01T00:00:00Z"
APPLETS = (
    "sh cat echo ls cp mv rm mkdir rmdir touch ln chmod chown "
    "env id sleep true false test head tail grep sed awk sort wc "
    "find tar gzip du df mount stat date dd seq expr printf kill "
    "ps hostname sha256sum md5sum readlink basename dirname tr cut tee xargs yes wget "
    "nc vi od adduser addgroup "
)


def busybox() -> Path:
    """Debian's static busybox. Raises when it is not installed."""
    found = shutil.which("busybox")
    if found is None:
        raise FileNotFoundError("busybox is not installed: make setup-test")
    return Path(found).resolve()


def _directory(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, mode
    return info


def _file(name: str, size: int, mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    return info


def _link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
    return info


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    archive.addfile(_file(name, len(text)), io.BytesIO(text.encode()))


def busybox_layer() -> bytes:
    """The tar of a small root filesystem with a shell."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("bin", "dev", "etc", "proc", "root", "sys", "usr", "var"):
            archive.addfile(_directory(name))
        archive.addfile(_directory("tmp", 0o1777))
        binary = busybox().read_bytes()
        archive.addfile(_file("bin/busybox", len(binary), 0o755), io.BytesIO(binary))
        for applet in APPLETS.split():
            archive.addfile(_link(f"bin/{applet}", "busybox"))
        _add_text(
            archive, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"
        )
        _add_text(archive, "etc/group", "root:x:0:\napp:x:1000:\n")
    return out.getvalue()


def scripts_layer(scripts: Mapping[str, str]) -> bytes:
    """The tar of shell scripts, by path."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, text in scripts.items():
            data = f"#!/bin/sh\n{text}\n".encode()
            archive.addfile(_file(name, len(data), 0o755), io.BytesIO(data))
    return out.getvalue()


def _put(blobs: Path, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return f"sha256:{digest}"


def write_layout(
    target: Path, layers: Iterable[bytes], config: dict[str, object], tag: str = "latest"
) -> str:
    """An OCI layout at `target` with one linux/amd64 image; returns the manifest's digest."""
    blobs = target / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    descriptors, diff_ids = [], []
    for layer in layers:
        packed = gzip.compress(layer, 1, mtime=0)
        digest = _put(blobs, packed)
        descriptors.append({"mediaType": LAYER, "digest": digest, "size": len(packed)})
        diff_ids.append(f"sha256:{hashlib.sha256(layer).hexdigest()}")
    image = {
        "created": EPOCH,
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": EPOCH, "created_by": "made for tests"} for _ in diff_ids],
    }
    raw = json.dumps(image).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": _put(blobs, raw), "size": len(raw)},
        "layers": descriptors,
    }
    packed_manifest = json.dumps(manifest).encode()
    digest = _put(blobs, packed_manifest)
    entry = {
        "mediaType": MANIFEST,
        "digest": digest,
        "size": len(packed_manifest),
        "annotations": {"org.opencontainers.image.ref.name": tag},
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    (target / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (target / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return digest


def busybox_layout(target: Path) -> str:
    """The busybox image as an OCI layout; returns its manifest's digest."""
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return write_layout(target, [busybox_layer()], {"Env": [path], "Cmd": ["sh"]})
