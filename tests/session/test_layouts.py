"""A layout in which another user has put links and pipes (as root: whose they are is set)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from croze import errors
from croze.client.layouts.cache_reset import reset
from croze.digests import digest_of
from croze.fs.temporary import temporary_directory
from croze.session import content
from croze.session.layouts import layout_folder, names_in, new_blob
from croze.session.providers.content import ContentProvider
from tests.session.conftest import Lend

OTHER = 12345
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def link_of_other(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    os.chown(link, OTHER, OTHER, follow_symlinks=False)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Files of ours, as deep as a layout's blobs are."""
    folder = tmp_path / "precious"
    for name in ("ssh/key", "sha256/" + "a" * 64, "b" * 64):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("precious")
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*"))


@needs_root
@pytest.mark.parametrize("name", ["blobs", "blobs/sha256", "blobs/x"])
def test_a_reset_deletes_nothing_through_links(tmp_path: Path, precious: Path, name: str) -> None:
    layout = tmp_path / "layout"
    link_of_other(layout / name, precious)
    (layout / "index.json").write_text(json.dumps({"manifests": []}))
    before = files(precious)
    with pytest.raises(OSError, match="another user"):
        reset(layout)
    assert files(precious) == before


def test_a_reset_deletes_blobs_alone(tmp_path: Path) -> None:
    """What goes by another name than a digest's is somebody's."""
    for name in ("sha256/notes.txt", "sha256/" + "a" * 64, "x/" + "b" * 64):
        (tmp_path / "blobs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "blobs" / name).write_text("x")
    (tmp_path / "index.json").write_text(json.dumps({"manifests": []}))
    reset(tmp_path)
    remaining = [path.name for path in files(tmp_path / "blobs") if path.is_file()]
    assert remaining == ["notes.txt", "b" * 64]


@needs_root
@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
async def test_blobs_are_not_written_through_links(
    lending: Lend, tmp_path: Path, precious: Path, name: str
) -> None:
    link_of_other(tmp_path / "out" / name, precious)
    before = files(precious)

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"data"

    async with lending([ContentProvider({"export": tmp_path / "out"})]) as session:
        store = content.LentStore(session, "export")
        with pytest.raises(errors.CrozeError, match=f"out/{name}: link of another user"):
            await store.write(digest_of(b"data"), 4, pieces())
    assert files(precious) == before
    with (
        pytest.raises(PermissionError),
        new_blob(tmp_path / "out", "sha256", digest_of(b"data")[7:]),
    ):
        pass
    assert files(precious) == before


async def test_blobs_are_written_through_links_of_ours(lending: Lend, tmp_path: Path) -> None:
    """As people move a cache to a larger disk."""
    (tmp_path / "out").mkdir()

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"data"

    with temporary_directory("test", "/dev/shm") as large:
        (tmp_path / "out/blobs").symlink_to(os.path.relpath(large, tmp_path / "out"))
        async with lending([ContentProvider({"export": tmp_path / "out"})]) as session:
            await content.LentStore(session, "export").write(digest_of(b"data"), 4, pieces())
        _holds_the_blob(tmp_path / "out")


def _holds_the_blob(layout: Path) -> None:
    with layout_folder(layout, "blobs", "sha256") as folder:
        assert names_in(folder) == [hashlib.sha256(b"data").hexdigest()]
    assert [path.name for path in layout.iterdir()] == ["blobs"]


async def test_what_other_clients_write_in_stays(lending: Lend, tmp_path: Path) -> None:
    """Docker's make `ingest` once, and have nothing in it between two blobs."""
    (tmp_path / "out/ingest").mkdir(parents=True)

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"data"

    async with lending([ContentProvider({"export": tmp_path / "out"})]) as session:
        await content.LentStore(session, "export").write(digest_of(b"data"), 4, pieces())
    (tmp_path / "out/ingest").rmdir()
    _holds_the_blob(tmp_path / "out")


async def test_pipes_are_no_blobs(lending: Lend, tmp_path: Path) -> None:
    """Nobody waits for their writer."""
    digest = digest_of(b"data")
    path = tmp_path / "blobs/sha256" / digest[7:]
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    async with lending([ContentProvider({"export": tmp_path})]) as session:
        store = content.LentStore(session, "export")
        with pytest.raises(errors.NotFound):
            await store.read_all(digest)
        assert await store.list() == []
