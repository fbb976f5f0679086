"""Content digests are asked for once for each state of a directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from croze.errors import NotFound
from croze.fs.content.checksum import Query, checksum
from croze.fs.sync.local import SyncOptions, sync
from croze.ops.content import SIDE_FILE, ContentDigests
from croze.workers.shares import Shares
from tests.ops.conftest import ThreadWorkers, TreeRef

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


async def test_who_waits_for_files_is_in_nobodys_way(tmp_path: Path) -> None:
    """They are waited for before it is one's turn to mount."""
    for name in ("arriving", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    arrived = asyncio.Event()

    class Arriving(TreeRef):
        async def materialize(self, sessions: Sequence[str] = ()) -> None:
            await arrived.wait()

    contents = ContentDigests(ThreadWorkers(), Shares(1, 1))
    late = Arriving(tmp_path / "arriving", tmp_path / "side")
    there = TreeRef(tmp_path / "there", tmp_path / "other side")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(contents.of(late, [Query("/a")], ()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert await contents.of(there, [Query("/a")], ())  # type: ignore[arg-type]
        assert not waiting.done()
        arrived.set()


async def test_what_waits_for_a_worker_is_not_mounted(tmp_path: Path) -> None:
    mounted: list[str] = []
    most = 0

    class Counted(TreeRef):
        @asynccontextmanager
        async def mounted(
            self, *, readonly: bool, sessions: Sequence[str] = ()
        ) -> AsyncIterator[Path]:
            nonlocal most
            mounted.append(self.id)
            most = max(most, len(mounted))
            yield self.path
            mounted.remove(self.id)

    (tmp_path / "a").write_text("")
    contents = ContentDigests(ThreadWorkers(), Shares(2, 2))
    refs = [Counted(tmp_path, tmp_path / f"side{number}") for number in range(9)]
    for number, ref in enumerate(refs):
        ref.id = str(number)
    asked = [contents.of(ref, [Query("/a")], ()) for ref in refs]  # type: ignore[arg-type]
    assert len({digest for (digest,) in await asyncio.gather(*asked)}) == 1
    assert most == 2
