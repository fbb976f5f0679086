"""What `reset=true` of a local cache deletes, and what it leaves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from croze.client.layouts.cache_reset import reset, wants_reset
from croze.errors import InvalidRequest
from croze.image.descriptor import OCI_INDEX, OCI_MANIFEST


def blob(layout: Path, data: bytes, kind: str = "layer") -> dict[str, object]:
    encoded = hashlib.sha256(data).hexdigest()
    path = layout / "blobs/sha256" / encoded
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{encoded}", "size": len(data)}


def test_only_what_is_named_stays(tmp_path: Path) -> None:
    layer, config = blob(tmp_path, b"layer", "x.index+zstd"), blob(tmp_path, b"config")
    inner = json.dumps({"config": config, "layers": [layer]}).encode()
    manifest = blob(tmp_path, inner, OCI_MANIFEST)
    old = blob(tmp_path, b"old")
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [manifest]}))
    reset(tmp_path)
    remaining = {f"sha256:{path.name}" for path in (tmp_path / "blobs/sha256").iterdir()}
    assert remaining == {layer["digest"], config["digest"], manifest["digest"]}
    assert old["digest"] not in remaining


def test_nothing_goes_when_a_manifest_is_lost(tmp_path: Path) -> None:
    old = blob(tmp_path, b"old")
    lost = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1}
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [lost]}))
    with pytest.raises(OSError):
        reset(tmp_path)
    assert (tmp_path / "blobs" / str(old["digest"]).replace(":", "/")).exists()


def test_paths_without_end(tmp_path: Path) -> None:
    """Each index names the next one twice: once as a layer, in case that this hides it."""
    last = blob(tmp_path, b"last")
    entry = blob(tmp_path, json.dumps({"manifests": [last]}).encode(), OCI_INDEX)
    for number in range(200):
        twice = [{**entry, "mediaType": "layer"}, entry, {**entry, "n": number}]
        entry = blob(tmp_path, json.dumps({"manifests": twice}).encode(), OCI_INDEX)
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [entry]}))
    there = set((tmp_path / "blobs/sha256").iterdir())
    reset(tmp_path)
    assert set((tmp_path / "blobs/sha256").iterdir()) == there


@pytest.mark.parametrize("index", ["[]", '{"manifests": [1]}', '{"layers": 1}', "[" * 10_000])
def test_what_is_no_index(tmp_path: Path, index: str) -> None:
    blob(tmp_path, b"there")
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(ValueError):
        reset(tmp_path)
    assert [*(tmp_path / "blobs/sha256").iterdir()]


def test_the_attribute_is_a_truth_value() -> None:
    assert not wants_reset({})
    assert wants_reset({"reset": "true"})
    with pytest.raises(InvalidRequest, match="failed to parse reset attribute"):
        wants_reset({"reset": "maybe"})
