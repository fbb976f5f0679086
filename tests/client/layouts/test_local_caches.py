"""Caches in directories of the client: what is not there is told of, and left out."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from croze.client.layouts.local_caches import prepare_caches
from croze.client.plan import CacheSpec, SolvePlan
from croze.errors import InvalidRequest

A, B = (f"sha256:{letter * 64}" for letter in "ab")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A layout whose tag `whole` names a blob that is there, and `gone` one that is not."""
    blobs = tmp_path / "store/blobs/sha256"
    blobs.mkdir(parents=True)
    (blobs / A[7:]).write_text("{}")
    entries = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": 2,
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }
        for tag, digest in (("whole", A), ("gone", B))
    ]
    index = {"schemaVersion": 2, "manifests": entries}
    (tmp_path / "store/index.json").write_text(json.dumps(index))
    return tmp_path / "store"


def imported(store: Path, **attrs: str) -> list[str]:
    plan = SolvePlan(cache_from=[CacheSpec("local", {"src": str(store), **attrs})])
    prepare_caches(plan)
    return [entry.attrs["digest"] for entry in plan.cache_from]


@pytest.mark.parametrize("attrs", [{"tag": "whole"}, {"digest": A}])
def test_what_is_there_is_asked_for(
    store: Path, attrs: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert imported(store, **attrs) == [A]
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("attrs", "why"),
    [
        ({"tag": "other"}, "no digest found for tag other"),
        ({"tag": "gone"}, f"digest {B} unavailable: content {B}: not found"),
        ({"digest": B}, f"digest {B} unavailable: content {B}: not found"),
        (
            {"digest": "sha256:../../x"},
            "digest sha256:../../x unavailable: cannot calculate blob path from invalid digest: "
            "invalid checksum digest format: invalid argument",
        ),
    ],
)
def test_what_is_not_there_is_left_out(
    store: Path, attrs: dict[str, str], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert imported(store, **attrs) == []
    assert caplog.messages == [f"local cache import at {store} skipped: {why}"]


def test_a_tag_has_a_name(store: Path) -> None:
    with pytest.raises(InvalidRequest, match="requires either explicit digest"):
        imported(store, tag="")


@pytest.mark.parametrize("below", ["", "/a/b"])
def test_a_file_in_the_place_of_a_store(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    plan = SolvePlan(cache_to=[CacheSpec("local", {"dest": f"{tmp_path}/file{below}"})])
    with pytest.raises(InvalidRequest) as caught:
        prepare_caches(plan)
    assert str(caught.value) == f"mkdir {tmp_path}/file: not a directory"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file", "skipped due to err: could not lock file/index.json.lock: open "),
        ("file/", 'not found due to err: failed to stat "file/": stat file/: not a directory'),
        ("file/x", 'not found due to err: failed to stat "file/x": stat file/x: not a directory'),
        ("none", "skipped due to err: could not read none/index.json: open none/index.json: no "),
    ],
)
def test_where_no_cache_can_be(
    place: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert imported_from(place) == []
    assert f"local cache import at {place} {why}" in caplog.text


def imported_from(place: str) -> list[CacheSpec]:
    plan = SolvePlan(cache_from=[CacheSpec("local", {"src": place})])
    prepare_caches(plan)
    return plan.cache_from


@pytest.mark.parametrize(
    ("dest", "why"),
    [
        ("file", "mkdir file: not a directory"),
        ("file/", "mkdir file/: file exists"),
        ("./file/x/y", "mkdir ./file: not a directory"),
        ("/proc/none", "mkdir /proc/none: no such file or directory"),
        ("x" * 300, f"mkdir {'x' * 300}: file name too long"),
    ],
)
def test_where_none_can_be_written(
    dest: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(InvalidRequest) as caught:
        prepare_caches(SolvePlan(cache_to=[CacheSpec("local", {"dest": dest})]))
    assert str(caught.value) == why
