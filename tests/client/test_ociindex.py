"""The index of an OCI layout, and what is none."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from croze.client import ociindex
from croze.errors import InvalidRequest, Unavailable


def test_the_index_of_a_layout(tmp_path: Path) -> None:
    one, two = {"digest": "sha256:1", "size": 1}, {"digest": "sha256:2", "size": 2}
    ociindex.put(tmp_path, one, names=["docker.io/library/x:v1", "y"])
    ociindex.put(tmp_path, two, names=["y"])
    index = json.loads((tmp_path / "index.json").read_text())
    assert [(d["digest"], d["annotations"]) for d in index["manifests"]] == [
        (
            "sha256:1",
            {
                "io.containerd.image.name": "docker.io/library/x:v1",
                "org.opencontainers.image.ref.name": "v1",
            },
        ),
        (
            "sha256:2",
            {
                "io.containerd.image.name": "y",
                "org.opencontainers.image.ref.name": "latest",
            },
        ),
    ]
    assert ociindex.find(tmp_path, "v1") == "sha256:1"
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


@pytest.mark.parametrize(
    "index",
    ["[]", "5", "[" * 10_000, *(f'{{"manifests": {entries}}}' for entries in (
        "5", "[5]", "[null]", "[{}]", '[{"digest": 5}]', '[{"digest": "", "annotations": []}]',
    ))],
)  # fmt: skip
def test_what_is_no_index_of_a_layout(tmp_path: Path, index: str) -> None:
    (tmp_path / "index.json").write_text(index)
    for call in (
        lambda: ociindex.resolve(tmp_path, "latest"),
        lambda: ociindex.put(tmp_path, {"digest": "sha256:1"}, tag="latest"),
    ):
        with pytest.raises(InvalidRequest, match=r"could not unmarshal .*index\.json: "):
            call()
    assert (tmp_path / "index.json").read_text() == index


@pytest.mark.parametrize("index", ["", "{}", '{"manifests": null}'])
def test_an_index_without_entries(tmp_path: Path, index: str) -> None:
    (tmp_path / "index.json").write_text(index)
    ociindex.put(tmp_path, {"digest": "sha256:1"}, tag="latest")
    assert ociindex.resolve(tmp_path, "latest") == "sha256:1"


def test_a_layout_that_somebody_keeps_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may read a directory may lock it."""
    monkeypatch.setattr(ociindex, "LOCK_WAIT_S", 0.0)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match=f"could not lock {tmp_path}: another process"):
            ociindex.put(tmp_path, {"digest": "sha256:1"}, tag="latest")
        assert list(tmp_path.iterdir()) == []
    finally:
        os.close(fd)
    ociindex.put(tmp_path, {"digest": "sha256:1"}, tag="latest")
