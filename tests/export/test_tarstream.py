"""Archives that are made on the way."""

from __future__ import annotations

import io
import tarfile
from contextlib import aclosing
from pathlib import Path

import pytest

from croze.errors import CrozeError
from croze.export import tarstream
from croze.export.tarstream import ArchiveMember, blob_members
from croze.session.filesend import SMALL_BYTES


def members(tmp_path: Path, size: int) -> list[ArchiveMember]:
    path = tmp_path / "blob"
    path.write_bytes(b"x" * size)
    index = ArchiveMember("index.json", 0o644, b"{}")
    return [*blob_members({"sha256:" + "a" * 64: (path, size)}), index]


async def test_a_small_archive_is_that_which_comes_in_pieces(tmp_path: Path) -> None:
    archive = members(tmp_path, 1000)
    async with aclosing(tarstream.stream(archive)) as stream:
        pieces = [piece async for piece in stream]
    data = tarstream.whole(archive)
    assert data == b"".join(pieces)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["blobs", "blobs/sha256", f"blobs/sha256/{'a' * 64}", "index.json"]


@pytest.mark.parametrize("off", [-1, 1])
def test_a_file_of_another_size_is_refused(tmp_path: Path, off: int) -> None:
    archive = members(tmp_path, 1000)
    (tmp_path / "blob").write_bytes(b"x" * (1000 + off))
    with pytest.raises(CrozeError, match="blob is not of 1000 bytes"):
        tarstream.whole(archive)


def test_what_is_small_is_so_with_its_headers(tmp_path: Path) -> None:
    assert tarstream.is_small(members(tmp_path, SMALL_BYTES - (8 << 10)))
    assert not tarstream.is_small(members(tmp_path, SMALL_BYTES - (2 << 10)))
    largest = max(
        size
        for size in range(SMALL_BYTES - (8 << 10), SMALL_BYTES, 512)
        if tarstream.is_small(members(tmp_path, size))
    )
    assert len(tarstream.whole(members(tmp_path, largest))) <= SMALL_BYTES
