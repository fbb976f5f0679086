"""Bytes that BuildKit made (`tests/golden/data/export`)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from croze.aio.threads import in_thread
from croze.digests import digest_of
from croze.export.patch import LayerFacts, complete_history, patch_config
from croze.export.rewrite import rewrite_layer
from croze.image import config as configs
from croze.image import manifest as manifests
from croze.image.config import ImageConfig, RootFS
from croze.image.platform import Platform
from croze.image.purl import package_url

DATA = Path(__file__).parent.parent / "golden" / "data" / "export"
EPOCH_S = 1_600_000_050
LAYERS = sorted(path.name for path in (DATA / "layers").iterdir())
BUILDS = sorted(str(p.parent.relative_to(DATA)) for p in DATA.glob("provenance/*/*/config.json"))


@pytest.mark.parametrize("build", BUILDS)
def test_configs(build: str) -> None:
    wanted = (DATA / build / "config.json").read_bytes()
    done = configs.parse(wanted)
    base_rows = 1 if "simple" in build else 0
    base = ImageConfig(
        "amd64",
        "linux",
        history=done.history[:base_rows],
        rootfs=RootFS("layers", done.diff_ids[:base_rows]),
    )
    config = json.loads(wanted)
    del config["rootfs"]
    config["created"] = "2026-01-01T00:00:00Z"
    for row in config["history"][base_rows:]:
        del row["created"]
    facts = [LayerFacts("2026-01-01T00:00:00.123456789Z") for _ in done.diff_ids]
    data = msgspec.json.encode(config)
    history = complete_history(configs.parse(data).history, facts)
    assert all(row.created for row in history)
    epoch = datetime.fromtimestamp(EPOCH_S, UTC)
    assert patch_config(data, done.diff_ids, history, epoch=epoch, base=base) == wanted


def read(path: Path) -> bytes:
    """With digests in place of the corpus's own placeholders."""
    named = re.compile(rb"<digest ([0-9]+)>")
    return named.sub(lambda found: b"sha256:" + found[1].zfill(64), path.read_bytes())


@pytest.mark.parametrize("build", BUILDS)
def test_manifests_are_written_as_they_are_read(build: str) -> None:
    for name in ("manifest", "attestation-manifest"):
        path = DATA / build / f"{name}.json"
        if path.exists():
            data = read(path)
            assert manifests.marshal(manifests.parse_manifest(data)) == data
    path = DATA / build / "image-index.json"
    if path.exists():
        data = read(path)
        assert manifests.marshal(manifests.parse_index(data)) == data


@pytest.mark.parametrize("build", [b for b in BUILDS if not b.endswith("none")])
def test_subjects(build: str) -> None:
    statement = json.loads((DATA / build / "statement.json").read_bytes())
    name = build.split("/")[1]
    url = package_url(f"example.com/golden/{name}:v1", Platform("amd64", "linux"))
    assert [subject["name"] for subject in statement["subject"]] == [url]


def test_package_urls() -> None:
    digest = "sha256:" + "a" * 64
    assert package_url("alpine", None) == "pkg:docker/alpine@latest"
    assert package_url(f"alpine@{digest}", None) == f"pkg:docker/alpine?digest={digest}"
    assert package_url("localhost:5000/a/b:1", None) == "pkg:docker/localhost%3A5000/a/b@1"


@pytest.mark.parametrize("name", [n for n in LAYERS if n != "base.tar"])
@pytest.mark.parametrize("compression", ["uncompressed", "gzip"])
async def test_rewritten_layers(name: str, compression: str, tmp_path: Path) -> None:
    source = DATA / "layers" / name / "plain.tar"
    wanted = (DATA / "layers" / name / "rewritten.tar").read_bytes()
    made = await in_thread(
        rewrite_layer, str(source), str(tmp_path / "out"), compression, None, EPOCH_S
    )
    data = (tmp_path / "out").read_bytes()
    assert made is not None
    assert made.digest == digest_of(data)
    assert made.diff_id == digest_of(wanted)
    if compression == "uncompressed":
        assert data == wanted
