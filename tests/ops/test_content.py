"""Content digests are asked for once for each state of a directory."""

from __future__ import annotations

import asyncio
from pathlib import Path

from croze.errors import NotFound
from croze.fs.content.checksum import Query, checksum
from croze.fs.sync.local import SyncOptions, sync
from croze.ops.content import SIDE_FILE, ContentDigests
from tests.ops.conftest import TreeRef

QUERIES = [Query("/a"), Query("/d")]


async def test_a_client_s_directory_that_has_not_changed(
    tmp_path: Path, contents: ContentDigests
) -> None:
    """It is a new ref in every build, with the index of the last."""
    source, dest, side = (tmp_path / name for name in ("source", "dest", "side"))
    for each in (source, source / "d", dest, side):
        each.mkdir()
    (source / "a").write_text("1")
    (source / "d/b").write_text("2")

    async def build(number: int) -> tuple[list[str], int]:
        notes = SyncOptions(index_file=str(side / SIDE_FILE), state_file=str(side / "state"))
        sync(str(source), str(dest), notes)
        ref = TreeRef(dest, side)
        ref.id = f"build{number}"
        found = [(await contents.of(ref, [query], ()))[0] for query in QUERIES]  # type: ignore[arg-type]
        return found, ref.mounted_times

    first, mounted = await build(0)
    assert mounted == 2
    assert await build(1) == (first, 0)
    (source / "d/b").write_text("3")
    (a, d), mounted = await build(2)
    assert (a, mounted) == (first[0], 2)
    assert d != first[1]
    assert await build(3) == ([a, d], 0)


async def test_nobody_waits_for_files_that_are_known(
    tmp_path: Path, contents: ContentDigests
) -> None:
    """They are still being written: the index knows what will be in them."""
    source, dest, side = (tmp_path / name for name in ("source", "dest", "side"))
    for each in (source, source / "d", dest, side):
        each.mkdir()
    for number in range(20):
        (source / f"d/{number}").write_text(str(number))
    (source / "a").write_text("1")
    notes = SyncOptions(index_file=str(side / SIDE_FILE), pack=str(side / "pack"))
    assert sync(str(source), str(dest), notes).is_late
    ref = TreeRef(dest, side)
    ref.unwritten = True
    digests = await contents.of(ref, QUERIES, ())  # type: ignore[arg-type]
    assert ref.mounted_times == 0
    assert digests == checksum(str(source), None, QUERIES)


async def test_questions_at_once_are_one_look(tmp_path: Path, contents: ContentDigests) -> None:
    """What is wrong with one of them is told to who asked it."""
    root, side = tmp_path / "root", tmp_path / "side"
    for each in (root, side):
        each.mkdir()
    for name in ("a", "b", "c"):
        (root / name).write_text(name)
    ref = TreeRef(root, side)

    async def ask(path: str) -> str:
        try:
            return (await contents.of(ref, [Query(path)], ()))[0]  # type: ignore[arg-type]
        except NotFound:
            return "not found"

    first = await asyncio.gather(*map(ask, ("/a", "/b", "/c")))
    assert len({*first}) == 3
    assert ref.mounted_times == 1
    again = await asyncio.gather(*map(ask, ("/a", "/gone", "/b/", "/c")))
    assert again[::3] == first[::2]
    assert again[1] == "not found"
