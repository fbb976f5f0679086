"""Records: listed, followed, changed, deleted, expired, and still there after a kill."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence

import pytest

from croze.api import control_pb2
from croze.api.attrs import to_attrs
from croze.errors import Corrupted, CrozeError, ResourceExhausted
from croze.history.history import BuildHistory, Finalizer, FinishedBuild
from croze.history.listeners import HistoryListeners
from tests.history.conftest import Open, build, finished, listed, log_digest, record
from tests.support.waiting import PATIENCE_S

Request = control_pb2.BuildHistoryRequest
Event = control_pb2.BuildHistoryEvent


async def following(events: AsyncIterator[Event]) -> tuple[int, str]:
    async with asyncio.timeout(PATIENCE_S):
        event = await anext(events)
    return event.type, event.record.Ref


def watch_writes(history: BuildHistory) -> list[int]:
    """How many blobs are written at a time."""
    written: list[int] = []
    put_all = history.store.blobs.put_all

    async def put(several: Sequence[bytes]) -> Sequence[str]:
        written.append(len(several))
        return await put_all(several)

    history.store.blobs.put_all = put  # type: ignore[method-assign]
    return written


async def test_a_build_that_ends_while_its_record_is_looked_for(opened: Open) -> None:
    """An earlier one is being filed meanwhile: its own log is no file when it is found."""
    async with opened() as history:
        may_write = asyncio.Event()
        put_all = history.store.blobs.put_all

        async def put(several: Sequence[bytes]) -> Sequence[str]:
            await may_write.wait()
            return await put_all(several)

        history.store.blobs.put_all = put  # type: ignore[method-assign]
        await build(history, "earlier")
        async with asyncio.TaskGroup() as group:
            finding = group.create_task(history.find("a"))
            while history._will_file:
                await asyncio.sleep(0)
            await build(history, "a")
            may_write.set()
        found = finding.result()
        assert found is not None
        with pytest.raises(Corrupted):  # it is there, though no log that anybody could read
            async for _ in history.log_of(found):
                pass


async def test_running_then_finished(opened: Open) -> None:
    async with opened() as history:
        history.start(control_pb2.BuildHistoryRecord(Ref="now"))
        await build(history, "b")
        await build(history, "a")
        started, complete = control_pb2.STARTED, control_pb2.COMPLETE
        assert await listed(history) == [(started, "now"), (complete, "a"), (complete, "b")]
        assert await listed(history, ActiveOnly=True) == [(started, "now")]
        assert await listed(history, Ref="b") == [(complete, "b")]
        assert await listed(history, Filter=["ref==nobody"]) == [(started, "now")]


async def test_a_listener_hears_what_happens(opened: Open) -> None:
    async with opened() as history, asyncio.TaskGroup() as group:
        events = history.listen(Request())
        first = group.create_task(following(events))
        await asyncio.sleep(0)
        await build(history, "a")
        assert await first == (control_pb2.STARTED, "a")
        assert await following(events) == (control_pb2.COMPLETE, "a")
        await history.update("a", lambda r: setattr(r, "pinned", True))
        assert await following(events) == (control_pb2.COMPLETE, "a")
        await history.delete("a")
        assert await following(events) == (control_pb2.DELETED, "a")
        await events.aclose()  # type: ignore[attr-defined]


async def test_a_build_whose_record_the_disk_does_not_have_yet(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds its row finds its log."""
    async with opened() as history:
        begun, may_sync = asyncio.Event(), asyncio.Event()
        sync = history.store.db.sync

        async def first_waits() -> None:
            if not begun.is_set():
                begun.set()
                await may_sync.wait()
            await sync()

        monkeypatch.setattr(history.store.db, "sync", first_waits)
        async with asyncio.TaskGroup() as group:
            group.create_task(build(history, "a"))
            await begun.wait()
            found = history.records.get("a")
            assert found is not None
            with pytest.raises(Corrupted):  # it is there, though no log that anybody could read
                async for _ in history.log_of(found):
                    pass
            may_sync.set()


async def test_a_record_is_there_when_finish_returns(opened: Open) -> None:
    """Whatever else is put off: a daemon that is killed now has not forgotten the build, nor what
    it said."""
    async with opened() as history:
        history.start(record("other"))
        await build(history, "a")
        root, digest = history.store.root, log_digest("a")
        copy = root.parent / "killed"
        shutil.copytree(root, copy)
        assert not history.store.blobs.has(digest)
    async with opened(copy) as history:
        assert await listed(history) == [(control_pb2.COMPLETE, "a")]
        assert history.store.blobs.read(digest) == b"log of a"
        assert history.records.inline() == {}, "it is done once"
        history.store.collect_blobs()
        assert history.store.blobs.has(digest)


async def test_blobs_become_files_when_there_is_time(opened: Open) -> None:
    """At once for who asks; all in one go."""
    async with opened() as history:
        history.lull._lull_s = history.lull._latest_s = (
            60  # a busy machine takes as long for a build
        )
        written = watch_writes(history)
        await build(history, "a")
        await build(history, "b")
        for _ in range(5):
            await asyncio.sleep(0)
        assert written == []
        assert await listed(history) == [(control_pb2.COMPLETE, ref) for ref in "ab"]
        assert written == [2]
        await build(history, "c")
        assert written == [2]
    assert written == [2, 1], "who leaves waits for it"


async def test_a_listener_that_does_not_read_is_told_so(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has not read is kept within bounds, and once for all who listen."""
    async with opened() as history:
        history._listeners = HistoryListeners(behind_bytes=2000)
        slow, quick = history.listen(Request()), history.listen(Request())
        await build(history, "a")
        assert await following(slow) == (control_pb2.COMPLETE, "a")
        assert await following(quick) == (control_pb2.COMPLETE, "a")
        for number in range(20):
            await build(history, f"b{number}")
            assert await following(quick) == (control_pb2.STARTED, f"b{number}")
            assert await following(quick) == (control_pb2.COMPLETE, f"b{number}")
        with pytest.raises(ResourceExhausted, match="listen again"):
            await following(slow)
        await quick.aclose()  # type: ignore[attr-defined]


async def test_one_large_record_is_read_however_large(opened: Open) -> None:
    async with opened() as history:
        history._listeners = HistoryListeners(behind_bytes=2000)
        events = history.listen(Request())
        await build(history, "a")
        assert await following(events) == (control_pb2.COMPLETE, "a")
        large = record("b")
        large.FrontendAttrs.extend(to_attrs({"k": "v" * 5000}))
        history.start(large)
        assert await following(events) == (control_pb2.STARTED, "b")
        await events.aclose()  # type: ignore[attr-defined]


async def test_listing_waits_for_what_is_being_recorded(opened: Open) -> None:
    async with opened() as history, asyncio.TaskGroup() as group:
        history.start(record("a"))
        gate = asyncio.Event()

        async def complete() -> FinishedBuild:
            await gate.wait()
            return FinishedBuild(record("a"))

        group.create_task(history.finish("a", complete()))
        await asyncio.sleep(0)
        listing = group.create_task(listed(history))
        await asyncio.sleep(0)
        assert not listing.done()
        gate.set()
        assert await listing == [(control_pb2.COMPLETE, "a")]


async def test_a_reopened_history(opened: Open) -> None:
    async with opened() as history:
        await build(history, "a")
        await history.update("a", lambda r: setattr(r, "pinned", True))
    async with opened() as history:
        found = await history.find("a")
        assert found is not None
        assert (found.pinned, found.Generation) == (True, 1)
        history.store.collect_blobs()
        assert history.store.blobs.has(found.logs.digest)
        await history.delete("a")
        assert not history.store.blobs.has(found.logs.digest)


async def test_what_somebody_listens_to_goes_when_they_leave(opened: Open) -> None:
    async with opened() as history:
        await build(history, "a")
        events = history.listen(Request(Ref="a"))
        assert await following(events) == (control_pb2.COMPLETE, "a")
        await history.delete("a")
        assert await listed(history) == []
        with pytest.raises(CrozeError, match="ref a is deleted: file does not exist"):
            await listed(history, Ref="a")
        assert history.records.get("a") is not None
        await events.aclose()  # type: ignore[attr-defined]
        assert history.records.get("a") is None


async def test_unknown_refs(opened: Open) -> None:
    async with opened() as history:
        with pytest.raises(CrozeError, match="failed to retrieve ref x: file does not exist"):
            await history.update("x", lambda r: None)
        with pytest.raises(CrozeError, match='lease "ref_x": not found'):
            await history.delete("x")
        await history.finalize("x")
        assert await history.find("x") is None


async def test_expiry_needs_age_and_number(opened: Open) -> None:
    async with opened() as history:
        for number in range(5):
            await build(history, f"r{number}", created_s=1000 + number)
        await history.update("r0", lambda r: setattr(r, "pinned", True))
        history.expire(now_s=1050)
        assert len(await listed(history)) == 5
        assert history.store.blobs.has(log_digest("r1"))
        history.expire(now_s=1102.5)
        assert not history.store.blobs.has(log_digest("r1")), "without any other collection"
        assert [ref for _, ref in await listed(history)] == ["r0", "r2", "r3", "r4"]
        history.expire(now_s=9999)
        assert [ref for _, ref in await listed(history)] == ["r0", "r3", "r4"]


async def test_finalizing(opened: Open) -> None:
    async with opened() as history:
        await build(history, "a")

        async def add_trace(finalizer: Finalizer) -> None:
            await finalizer.wanted.wait()
            await history.update("a", lambda r: setattr(r.trace, "digest", "sha256:" + "0" * 64))

        history.finalize_later("a", add_trace)
        await history.finalize("a")
        found = await history.find("a")
        assert found is not None
        assert found.HasField("trace")


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_leaving_finalizes(opened: Open, *, hangs_up: bool) -> None:
    """So does hanging up, after which records are still read."""
    async with opened() as history:
        await build(history, "a")
        done: list[str] = []

        async def add(finalizer: Finalizer) -> None:
            await finalizer.wanted.wait()
            done.append("a")

        history.finalize_later("a", add)
        if hangs_up:
            await history.hang_up()
            assert done == ["a"]
    assert done == ["a"]


async def test_hanging_up_ends_the_listening(opened: Open) -> None:
    async with opened() as history, asyncio.TaskGroup() as group:
        await build(history, "a")

        async def follow() -> list[str]:
            return [event.record.Ref async for event in history.listen(Request())]

        following = group.create_task(follow())
        await asyncio.sleep(0)
        await history.hang_up()
        assert await following == ["a"]


async def test_a_build_that_cannot_be_recorded_is_not_listed(opened: Open) -> None:
    async with opened() as history:
        history.start(record("a"))

        async def complete() -> FinishedBuild:
            raise CrozeError("not to be had")

        with pytest.raises(CrozeError, match="not to be had"):
            await history.finish("a", complete())
        assert await listed(history) == []


async def test_of_an_image_all_but_the_layers_stays(opened: Open) -> None:
    async with opened() as history:
        blobs = history.store.blobs
        layer, config = await blobs.put(b"layer"), await blobs.put(b"{}")
        statement = await blobs.put(b'{"_type": "in-toto"}')
        manifest = {
            "config": {"mediaType": "c", "digest": config, "size": 2},
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 5},
                {"mediaType": "application/vnd.in-toto+json", "digest": statement, "size": 20},
            ],
        }
        root = await blobs.put(json.dumps(manifest).encode())
        history.start(record("a"))
        made = record("a")
        made.Result.Results[0].digest = root
        await history.finish("a", finished(made))
    async with opened() as history:
        history.store.collect_blobs()
        there = history.store.blobs.has
        assert [there(d) for d in (root, config, statement, layer)] == [True, True, True, False]
        await history.delete("a")
        assert not there(root)
