"""Records: listed, followed, changed, deleted, expired, and still there after a kill."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from croze.api import control_pb2
from croze.errors import CrozeError
from croze.history import history as history_module
from croze.history.history import BuildHistory, Finalizer
from tests.history.conftest import Open, build, record

Request = control_pb2.BuildHistoryRequest
Event = control_pb2.BuildHistoryEvent


async def listed(history: BuildHistory, **what: object) -> list[tuple[int, str]]:
    request = Request(EarlyExit=True, **what)  # type: ignore[arg-type]
    return [(e.type, e.record.Ref) async for e in history.listen(request)]


async def following(events: AsyncIterator[Event]) -> tuple[int, str]:
    async with asyncio.timeout(5):
        event = await anext(events)
    return event.type, event.record.Ref


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


async def test_records_are_written_when_nobody_waits_for_an_answer(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not while builds begin and end; but some time, and at once for who asks."""
    monkeypatch.setattr(history_module, "LULL_S", 60.0)
    monkeypatch.setattr(history_module, "LATEST_S", 60.0)
    async with opened() as history:
        written: list[str] = []

        async def complete(ref: str) -> control_pb2.BuildHistoryRecord:
            written.append(ref)
            return record(ref)

        async def over(*refs: str) -> None:
            for ref in refs:
                history.start(control_pb2.BuildHistoryRecord(Ref=ref))
                history.finish(ref, complete(ref), AsyncExitStack())
            for _ in range(5):
                await asyncio.sleep(0)

        await over("a", "b")
        assert written == []
        await history.settled()
        assert sorted(written) == ["a", "b"]
        monkeypatch.setattr(history_module, "LATEST_S", 0.0)
        await over("c")
        async with asyncio.timeout(5):
            while "c" not in written:
                await asyncio.sleep(0)
        monkeypatch.setattr(history_module, "LATEST_S", 60.0)
        await history.settled()
        await over("d")
        assert "d" not in written
    assert "d" in written, "who leaves waits for it"


async def test_whatever_goes_on_a_record_is_written_soon(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that is killed before has forgotten a build that it has answered: that is a tenth of
    a second, by a clock that goes on whenever it is looked at."""
    loop = asyncio.get_running_loop()
    clock = itertools.count(loop.time(), 0.001)
    async with opened() as history:
        written = asyncio.Event()

        async def complete() -> control_pb2.BuildHistoryRecord:
            written.set()
            return record("a")

        with monkeypatch.context() as patched:
            patched.setattr(loop, "time", lambda: next(clock))
            history.start(control_pb2.BuildHistoryRecord(Ref="a"))
            history.finish("a", complete(), AsyncExitStack())
            over_s = next(clock)
            while not written.is_set():
                history.start(control_pb2.BuildHistoryRecord(Ref="next"))
                await asyncio.sleep(0)
            assert 0.05 < next(clock) - over_s < 0.15


async def test_listing_waits_for_what_is_being_written(opened: Open) -> None:
    async with opened() as history, asyncio.TaskGroup() as group:
        history.start(record("a"))
        gate = asyncio.Event()

        async def complete() -> control_pb2.BuildHistoryRecord:
            await gate.wait()
            return record("a")

        history.finish("a", complete(), AsyncExitStack())
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
        history.expire(now_s=1102.5)
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


async def test_leaving_finalizes(opened: Open) -> None:
    async with opened() as history:
        await build(history, "a")
        done: list[str] = []

        async def add(finalizer: Finalizer) -> None:
            await finalizer.wanted.wait()
            done.append("a")

        history.finalize_later("a", add)
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

        async def complete() -> control_pb2.BuildHistoryRecord:
            raise CrozeError("disk full")

        history.finish("a", complete(), AsyncExitStack())
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

        async def complete() -> control_pb2.BuildHistoryRecord:
            made = record("a")
            made.Result.Results[0].digest = root
            return made

        history.finish("a", complete(), AsyncExitStack())
        await history.settled()
    async with opened() as history:
        history.store.collect_blobs()
        there = history.store.blobs.has
        assert [there(d) for d in (root, config, statement, layer)] == [True, True, True, False]
        await history.delete("a")
        assert not there(root)
