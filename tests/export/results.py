"""Builds' results to export, and the clients that they go to."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from croze import compatibility
from croze.export.contract import (
    Attestation,
    ExportContext,
    ExportServices,
    ExportSource,
    PlatformResult,
)
from croze.export.open import open_exporter
from croze.image import config as configs
from croze.image.config import HistoryEntry
from croze.image.platform import Platform
from croze.image.platform import format as format_platform
from croze.store.contract import BlobStore, ImmutableRef
from tests.sources.rig import Rig

AMD = Platform("amd64", "linux")
ARM = Platform("arm64", "linux")


def services(rig: Rig) -> ExportServices:
    return ExportServices(
        rig.store.refs,
        rig.store.blobs,
        rig.store.images,
        rig.daemon.sessions,
        rig.registry,
        rig.pool,
    )


async def make_ref(rig: Rig, *layers: Mapping[str, str]) -> ImmutableRef:
    """A filesystem of steps, each writing some files."""
    ref: ImmutableRef | None = None
    for number, files in enumerate(layers):
        step = await rig.store.refs.new(ref, description=f"step {number}")
        async with step.mounted(readonly=False) as root:
            for name, text in files.items():
                path = Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        if ref is not None:
            await ref.release()
        ref = await step.commit()
    assert ref is not None
    return ref


def config_of(platform: Platform, rows: int) -> bytes:
    image = configs.empty(platform)
    history = tuple(HistoryEntry(created_by=f"RUN {i}") for i in range(rows))
    data = json.loads(configs.marshal(image))
    del data["rootfs"]
    data["history"] = [{"created_by": row.created_by} for row in history]
    return json.dumps(data).encode()


def single(
    ref: ImmutableRef | None,
    *,
    rows: int = 1,
    attestations: tuple[Attestation, ...] = (),
    metadata: Mapping[str, bytes] | None = None,
) -> ExportSource:
    result = PlatformResult("", AMD, ref, config_of(AMD, rows), attestations)
    return ExportSource([result], multi_platform=False, metadata=metadata or {})


def several(refs: Mapping[Platform, ImmutableRef]) -> ExportSource:
    results = [
        PlatformResult(format_platform(p), p, ref, config_of(p, 1)) for p, ref in refs.items()
    ]
    return ExportSource(results, multi_platform=True)


async def export(
    rig: Rig,
    kind: str,
    attrs: Mapping[str, str],
    source: ExportSource,
    session: str = "",
    *,
    version: int = compatibility.CURRENT,
) -> Mapping[str, str]:
    exporter = open_exporter(kind, attrs, services(rig))
    sessions = [session] if session else []
    context = ExportContext(session, sessions, rig.progress, "0", version)
    answer = await exporter.export(source, context)
    assert rig.progress.unfinished() == []
    return answer


def descriptor(answer: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        base64.b64decode(answer["containerimage.descriptor"]).decode()
    )
    return found


def checked(blobs: BlobStore, digest: str) -> bytes:
    data = blobs.read(digest)
    assert "sha256:" + hashlib.sha256(data).hexdigest() == digest
    return data


def validate_image(blobs: BlobStore, manifest_digest: str) -> list[dict[str, bytes]]:
    """Check every digest, size and diff ID of an image; the files of each layer."""
    manifest = json.loads(checked(blobs, manifest_digest))
    config = json.loads(checked(blobs, manifest["config"]["digest"]))
    diff_ids = config["rootfs"]["diff_ids"] or []
    layers = manifest["layers"] or []
    assert len(diff_ids) == len(layers)
    assert sum(not row.get("empty_layer") for row in config["history"] or []) == len(layers)
    contents = []
    for layer, diff_id in zip(layers, diff_ids, strict=True):
        data = checked(blobs, layer["digest"])
        assert len(data) == layer["size"]
        tar = gzip.decompress(data) if layer["mediaType"].endswith("gzip") else data
        assert "sha256:" + hashlib.sha256(tar).hexdigest() == diff_id
        contents.append(tar_files(tar))
    return contents


def tar_files(data: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if member.isreg():
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
    return found
