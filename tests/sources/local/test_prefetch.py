"""Directories that are on their way before anybody wants them: taken, given up, and gone wrong."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from croze.errors import CrozeError
from croze.fs.remove import remove_tree
from croze.sources.local.compare import HELD_BYTES
from croze.sources.request import SourceRequest
from tests.sources.prefetch import KINDS, WHOLE, Bench, quiet, rewrite
from tests.sources.rig import Rig, files
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.root


@pytest.fixture
async def bench(request: pytest.FixtureRequest, rig: Rig, tmp_path: Path) -> AsyncIterator[Bench]:
    context = tmp_path / "context"
    (context / "sub").mkdir(parents=True)
    (context / "a").write_bytes(b"one")
    (context / "sub/b").write_bytes(b"two" * 1000)
    made = Bench(rig, context, request.param)
    async with made.client():
        yield made
    assert rig.progress.unfinished() == []


@pytest.fixture(autouse=True)
def clock_of_small_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed just before a transfer need not be looked at again by the next."""
    monkeypatch.setattr("croze.fs.sync.local._RACY_NS", 0)


either_way = pytest.mark.parametrize("bench", KINDS, indirect=True)


@either_way
async def test_what_is_on_its_way_is_taken(bench: Bench) -> None:
    for number in range(3):
        if number == 2:
            (bench.context / "a").write_bytes(b"changed")
        before = bench.asked
        async with bench.sources.prefetching() as prefetch:
            prefetch(bench.request())
            prefetch(bench.request())  # as two builds of one session may
            found = await bench.brought(bench.request())
        assert found == WHOLE | ({"a": b"changed"} if number == 2 else {})
        assert bench.asked == before + 1
        assert bench.rig.progress.statuses["transferring context:"][2]
    assert await bench.kept() == (1, 0)


@either_way
async def test_nothing_is_seen_before_it_is_taken(bench: Bench) -> None:
    await bench.brought(bench.request())
    bench.rig.progress.statuses.clear()
    async with bench.sources.prefetching() as prefetch:
        prefetch(bench.request())
        await quiet(bench)
        assert bench.rig.progress.statuses == {}
        await bench.brought(bench.request())
        assert [*bench.rig.progress.statuses] == ["transferring context:"]


@either_way
async def test_what_is_not_wanted_leaves_no_trace(bench: Bench) -> None:
    """The directory has changed, but the build ends without it: nothing of the change is here, and
    the next one is told no more than the change."""
    await bench.brought(bench.request())
    (bench.context / "a").write_bytes(b"changed")
    async with bench.sources.prefetching() as prefetch:
        prefetch(bench.request())
        await quiet(bench)
        assert await bench.kept() == (1, 1)
    assert await bench.kept() == (1, 0)
    if bench.kind == "transfer":
        while bench.files.ended < bench.files.asked:
            await asyncio.sleep(0.001)
    found = await bench.brought(bench.request())
    assert found == WHOLE | {"a": b"changed"}
    assert 0 < bench.rig.progress.statuses["transferring context:"][0] < 1000
    assert await bench.kept() == (1, 0)


@either_way
async def test_another_question_gets_another_answer(bench: Bench) -> None:
    """What was expected is not what is wanted: another filter, in the same place."""
    await bench.brought(bench.request())
    (bench.context / "sub/b").write_bytes(b"three")
    async with bench.sources.prefetching() as prefetch:
        prefetch(bench.request())
        await quiet(bench)
        found = await bench.brought(bench.request(excludepatterns='["a"]'))
        assert found == {"sub/b": b"three"}
        assert await bench.kept() == (1, 0)
    assert await bench.brought(bench.request()) == {"a": b"one", "sub/b": b"three"}
    assert await bench.kept() == (1, 0)


@either_way
async def test_a_directory_that_vanishes_meanwhile(bench: Bench) -> None:
    """As with any transfer that had begun before: what is not there any more is empty. Of one that
    had not, who wants it is told the same as ever."""
    await bench.brought(bench.request())
    (bench.context / "a").write_bytes(b"changed")
    async with bench.sources.prefetching() as prefetch:
        prefetch(bench.request())
        await quiet(bench)
        remove_tree(str(bench.context))
        assert not (await bench.brought(bench.request())).get("a")
    for early in (True, False):
        async with bench.sources.prefetching() as prefetch:
            if early:
                prefetch(bench.request())
            with pytest.raises(CrozeError, match=r"(?i)no such file or directory"):
                await bench.brought(bench.request())
    assert (await bench.kept())[1] == 0


@either_way
async def test_what_was_begun_long_ago_is_begun_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client may have saved something since, while a registry was slow to answer."""
    await bench.brought(bench.request())
    for fresh_s, found in ((1000.0, b"one"), (0.0, b"changed")):
        monkeypatch.setattr("croze.sources.local.prefetch.FRESH_S", fresh_s)
        async with bench.sources.prefetching() as prefetch:
            prefetch(bench.request())
            await quiet(bench)
            (bench.context / "a").write_bytes(b"changed")
            assert (await bench.brought(bench.request()))["a"] == found
    assert await bench.kept() == (1, 0)


@either_way
async def test_what_nobody_takes_soon_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the build goes on, others may write to the directory that was found."""
    await bench.brought(bench.request())
    monkeypatch.setattr("croze.sources.local.prefetch.FRESH_S", 0.01)
    for content in (b"one", b"changed"):
        (bench.context / "a").write_bytes(content)
        async with bench.sources.prefetching() as prefetch:
            prefetch(bench.request())
            await quiet(bench)
            async with asyncio.timeout(PATIENCE_S):
                while bench.files.ended < bench.files.asked or await bench.kept() != (1, 0):
                    await asyncio.sleep(0.001)
    assert await bench.brought(bench.request()) == WHOLE | {"a": b"changed"}
    assert await bench.kept() == (1, 0)


@either_way
async def test_whatever_goes_wrong_is_no_error_of_the_build(bench: Bench) -> None:
    refs = bench.rig.store.refs
    find = refs.find

    def fail(**meta: str) -> Sequence[str]:
        refs.find = find  # type: ignore[method-assign]
        raise ValueError("what nobody has thought of")

    refs.find = fail  # type: ignore[method-assign]
    async with bench.sources.prefetching() as prefetch:
        prefetch(bench.request())
        assert await bench.brought(bench.request()) == WHOLE


@either_way
async def test_who_takes_it_is_cancelled(bench: Bench) -> None:
    await bench.brought(bench.request())
    held, go = await _held_up(bench)
    async with bench.sources.prefetching() as prefetch:
        prefetch(bench.request())
        await quiet(bench)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bench.brought(bench.request()))
            await asyncio.wait_for(held.wait(), PATIENCE_S)
            task.cancel()
            go.set()
        assert task.cancelled()
        assert await bench.kept() == (1, 0)
    assert await bench.brought(bench.request()) == WHOLE | {"a": b"changed"}


async def _held_up(bench: Bench) -> tuple[asyncio.Event, asyncio.Event]:
    """Set when the directory is open for writing, which then waits for the other."""
    (bench.context / "a").write_bytes(b"changed")
    held, go = asyncio.Event(), asyncio.Event()
    take = bench.rig.store.refs.get_mutable

    async def get_mutable(id: str) -> object:
        held.set()
        await go.wait()
        bench.rig.store.refs.get_mutable = take  # type: ignore[method-assign]
        return await take(id)

    bench.rig.store.refs.get_mutable = get_mutable  # type: ignore[method-assign, assignment]
    return held, go


@either_way
async def test_the_build_ends_amid_a_transfer(bench: Bench) -> None:
    """Another build of the same session that has taken it does it itself."""
    await bench.brought(bench.request())
    held, go = await _held_up(bench)
    async with asyncio.TaskGroup() as group:
        async with bench.sources.prefetching() as prefetch:
            prefetch(bench.request())
            other = group.create_task(bench.brought(bench.request()))
            await asyncio.wait_for(held.wait(), PATIENCE_S)
            go.set()
        assert await other == WHOLE | {"a": b"changed"}
    assert await bench.kept() == (1, 0)


@either_way
async def test_errors_of_the_build_come_out_as_they_are(bench: Bench) -> None:
    async def build() -> None:
        async with bench.sources.prefetching() as prefetch:
            prefetch(bench.request())
            raise CrozeError("the build failed") from KeyError("why")

    with pytest.raises(CrozeError, match="the build failed") as caught:
        await build()
    assert isinstance(caught.value.__cause__, KeyError)
    assert (await bench.kept())[1] == 0


@either_way
async def test_a_session_that_is_gone(bench: Bench) -> None:
    request = bench.request(session="gone")
    async with bench.sources.prefetching() as prefetch:
        prefetch(request)
        await bench.brought(request)  # by another session of the build
    assert await bench.kept() == (1, 0)


@either_way
async def test_what_can_not_be_begun(bench: Bench) -> None:
    async with bench.sources.prefetching() as prefetch:
        for request in (
            SourceRequest("git://example.com/a.git", {}),
            bench.request(session=""),
            bench.request(includepattern="{"),
            bench.request(metadatatransfer="true"),
        ):
            prefetch(request)
        await asyncio.sleep(0)
    assert bench.asked == 0


# -- contents that count -----------------------------------------------------------------------


@either_way
async def test_a_dockerfile_is_read_each_time_and_kept_as_it_is(bench: Bench) -> None:
    async def same(expected: dict[str, bytes], *, is_same: bool) -> None:
        first = await bench.bring(bench.request(differ="none"))
        await first.release()
        if bench.kind == "handle":
            first = await bench.bring(bench.request(differ="none"))  # what is there is newly noted
            await first.release()
        async with bench.sources.prefetching() as prefetch:
            prefetch(bench.request(differ="none"))
            again = await bench.bring(bench.request(differ="none"))
        assert await files(again) == expected
        assert (again.id == first.id) is is_same
        await again.release()

    large = bench.context / "sub/b"
    await same(WHOLE, is_same=True)
    rewrite(bench.context / "a", b"two")
    await same(WHOLE | {"a": b"two"}, is_same=True)
    os.utime(bench.context / "a", ns=(7, 7))
    await same(WHOLE | {"a": b"two"}, is_same=True)
    large.write_bytes(b"x" * (HELD_BYTES + 1))
    whole = {"a": b"two", "sub/b": b"x" * (HELD_BYTES + 1)}
    await same(whole, is_same=bench.kind == "handle")
    rewrite(large, b"y" * (HELD_BYTES + 1))
    await same(whole | {"sub/b": b"y" * (HELD_BYTES + 1)}, is_same=bench.kind == "handle")
    large.unlink()
    os.link(bench.context / "a", large)
    (bench.context / "empty").touch()
    await same({"a": b"two", "sub/b": b"two", "empty": b""}, is_same=True)
    assert await bench.kept() == (1, 0)


@either_way
async def test_what_has_been_read_ahead_is_not_written_before_it_is_wanted(bench: Bench) -> None:
    await bench.brought(bench.request(differ="none"))
    earlier = await bench.bring(bench.request(differ="none"))
    await earlier.release()
    rewrite(bench.context / "a", b"two")
    async with bench.sources.prefetching() as prefetch:
        prefetch(bench.request(differ="none"))
        await quiet(bench)
        same = await bench.rig.store.refs.get(earlier.id)
        assert await files(same) == WHOLE
        await same.release()
    async with bench.sources.prefetching() as prefetch:
        prefetch(bench.request(differ="none"))
        await quiet(bench)
        assert await bench.brought(bench.request(differ="none")) == WHOLE | {"a": b"two"}


# -- earlier directories --------------------------------------------------------------------------


@either_way
async def test_builds_at_once_share_what_has_not_changed(bench: Bench) -> None:
    await bench.brought(bench.request())
    refs = await asyncio.gather(*(bench.bring(bench.request()) for _ in range(3)))
    assert len({ref.id for ref in refs}) == 1
    (bench.context / "a").write_bytes(b"changed")
    changed = await bench.bring(bench.request())
    assert await files(changed) == WHOLE | {"a": b"changed"}
    for ref in refs:
        assert await files(ref) == WHOLE
        await ref.release()
    await changed.release()
    assert await bench.kept() == (2, 0)


async def test_directories_that_the_client_does_not_tell_apart(rig: Rig, tmp_path: Path) -> None:
    """`buildctl` has one key for all: each is found again, and only its changes come."""
    benches = []
    for number in range(3):
        context = tmp_path / f"context{number}"
        context.mkdir()
        (context / "large").write_bytes(bytes([number]) * 100_000)
        (context / "z").write_bytes(b"same")
        benches.append(Bench(rig, context, "transfer"))

    async def each(change: Callable[[Bench], object], most: int) -> None:
        for bench in benches:
            change(bench)
            async with bench.client():
                found = await bench.brought(bench.request())
            assert found == {p.name: p.read_bytes() for p in bench.context.iterdir()}
            assert rig.progress.statuses["transferring context:"][0] < most

    refs = []
    for bench in benches:
        async with bench.client():
            refs.append(await bench.bring(bench.request()))
    for ref in refs:
        await ref.release()
    await each(lambda _: None, 1000)
    await each(lambda bench: (bench.context / "z").write_bytes(b"other"), 1000)
    await each(lambda bench: (bench.context / "z").unlink(), 1000)
    assert await benches[0].kept() == (3, 0)


@either_way
async def test_looking_at_a_directory_is_no_use_of_it(bench: Bench, tmp_path: Path) -> None:
    """Of two that the client does not tell apart, the other one is not used, and not written to."""
    other = Bench(bench.rig, tmp_path / "other", bench.kind)
    (other.context / "x").mkdir(parents=True)
    (other.context / "x/large").write_bytes(b"y" * 100_000)
    async with other.client():
        first = await bench.bring(bench.request())
        second = await other.bring(other.request())
        await second.release()
        await first.release()
        for _ in range(3):
            assert await other.brought(other.request()) == {"x/large": b"y" * 100_000}
            assert other.rig.progress.statuses["transferring context:"][0] < 1000
        for ref in (first, second):
            assert bench.rig.store.refs.exists(ref.id)
        counts = sorted(r.usage_count for r in await bench.rig.store.refs.disk_usage())
        assert counts == [1, 4]
