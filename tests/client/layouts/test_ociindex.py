"""The index of an OCI layout, and what is none."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from croze.client.layouts import ociindex
from croze.errors import InvalidRequest, Unavailable
from croze.session import layouts


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


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A layout whose index somebody writes, as BuildKit locks it."""
    (tmp_path / "index.json").write_text('{"manifests": [{"digest": "sha256:1"}]}')
    with open(tmp_path / "index.json.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield tmp_path


def test_a_layout_that_somebody_keeps_locked(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "LOCK_WAIT_S", 0.0)
    for call in (
        lambda: ociindex.put(locked, {"digest": "sha256:2"}, tag="latest"),
        lambda: ociindex.resolve(locked, "latest"),
    ):
        with pytest.raises(
            Unavailable, match=r"could not lock .*/index\.json\.lock: another process"
        ):
            call()
    assert sorted(path.name for path in locked.iterdir()) == ["index.json", "index.json.lock"]


def test_a_layout_is_waited_for(locked: Path) -> None:
    """Until whoever has locked it removes the lock, as BuildKit does."""
    entered = Event()

    def put() -> None:
        ociindex.put(locked, {"digest": "sha256:2"}, tag="latest")
        entered.set()

    with ThreadPoolExecutor() as pool, open(locked / "other", "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = pool.submit(put)
        os.rename(locked / "other", locked / "index.json.lock")
        assert not entered.wait(0.1)
        os.unlink(locked / "index.json.lock")
        done.result()
    assert ociindex.find(locked, "latest") == "sha256:2"
    assert not (locked / "index.json.lock").exists()


def test_readers_share_a_layout_and_leave_nothing(tmp_path: Path) -> None:
    ociindex.put(tmp_path, {"digest": "sha256:1"}, tag="latest")
    before = sorted(tmp_path.iterdir())
    with layouts.index_to_read(tmp_path):
        with layouts.index_to_read(tmp_path):
            assert ociindex.find(tmp_path, "latest") == "sha256:1"
        with open(tmp_path / "index.json.lock") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "directory"])
def test_what_is_no_lock(tmp_path: Path, kind: str) -> None:
    """It is neither followed nor waited for; to read needs none."""
    ociindex.put(tmp_path, {"digest": "sha256:1"}, tag="latest")
    precious, lock = tmp_path / "precious", tmp_path / "index.json.lock"
    if "link" in kind:
        lock.symlink_to(precious)
        if kind == "link":
            precious.write_text("precious")
    else:
        os.mkfifo(lock) if kind == "pipe" else lock.mkdir()
    with pytest.raises(OSError, match=r"index\.json\.lock"):
        ociindex.put(tmp_path, {"digest": "sha256:2"}, tag="latest")
    assert ociindex.find(tmp_path, "latest") == "sha256:1"
    assert precious.exists() == (kind == "link")
    assert os.path.lexists(lock)
