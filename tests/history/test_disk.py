"""Records wait for the disk, which may be full."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from croze.api import control_pb2
from croze.errors import ResourceExhausted
from croze.history.blobs import INLINE_BYTES, RecordBlobs
from croze.history.history import BuildHistory
from croze.history.logs import MEDIA_TYPE
from croze.store.blobs import DiskBlobWriter
from tests.history.conftest import Open, build, listed, log_digest, record
from tests.support.threads import are_beside_the_loop, calling_threads


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")


async def assert_nothing_is_left_of_it(history: BuildHistory) -> None:
    """No record and no lease: the same build can be done and recorded, as if it were the first."""
    assert await listed(history) == []
    assert not history.store.leases.held_blobs()
    await build(history, "a")
    assert await listed(history) == [(control_pb2.COMPLETE, "a")]


async def test_the_disk_is_waited_for_before_a_build_is_answered(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as history:
        stored: list[object] = []

        async def sync() -> None:
            await asyncio.sleep(0)
            stored.extend(history.store.db.read("SELECT ref FROM history"))

        with monkeypatch.context() as patched:
            patched.setattr(history.store.db, "sync", sync)
            await build(history, "a")
            assert stored == [("a",)]


async def test_a_full_disk_leaves_blobs_in_their_rows(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They become files when there is room, and nothing that is done to the record takes them."""
    async with opened() as history:
        await build(history, "a")
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            await history.update("a", lambda r: setattr(r, "pinned", True))
        assert not history.store.blobs.has(log_digest("a"))
        assert history.records.inline() == {"a": [b"log of a"]}
        found = await history.find("a")
        assert found is not None
        assert found.pinned
        assert history.store.blobs.read(log_digest("a")) == b"log of a"
        assert history.records.inline() == {}


async def test_a_record_that_cannot_be_written_is_an_error(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As BuildKit has it. The build does not run any more, and nothing of it is left."""
    async with opened() as history:
        history.start(record("a"))
        with monkeypatch.context() as patched:
            patched.setattr(history.store.leases, "keep", full)
            with pytest.raises(ResourceExhausted, match="no space left on device"):
                await build(history, "a")
        await assert_nothing_is_left_of_it(history)


async def test_what_the_disk_does_not_take_is_not_there(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has been told so. What comes next is as if nothing had been."""

    async def full_sync() -> None:
        raise ResourceExhausted("no space left on device")

    async with opened() as history:
        with monkeypatch.context() as patched:
            patched.setattr(history.store.db, "sync", full_sync)
            with pytest.raises(ResourceExhausted, match="no space left on device"):
                await build(history, "a")
        await assert_nothing_is_left_of_it(history)
        assert history.store.blobs.read(log_digest("a")) == b"log of a"


@pytest.mark.parametrize("has_files", [False, True])
async def test_the_record_that_the_ref_had_before_stays(
    opened: Open, monkeypatch: pytest.MonkeyPatch, has_files: bool
) -> None:
    """A build whose ref is used again takes its place only when the disk has the new one."""

    async def full_sync() -> None:
        raise ResourceExhausted("no space left on device")

    async with opened() as history:
        await build(history, "a", created_s=1000)
        if has_files:
            await history.settled()
        with monkeypatch.context() as patched:
            patched.setattr(history.store.db, "sync", full_sync)
            with pytest.raises(ResourceExhausted, match="no space left on device"):
                await build(history, "a", created_s=2000)
        found = await history.find("a")
        assert found is not None
        assert found.CreatedAt.seconds == 1000
        history.store.collect_blobs()
        assert history.store.blobs.read(log_digest("a")) == b"log of a"
    async with opened() as history:
        assert await listed(history) == [(control_pb2.COMPLETE, "a")]


async def test_a_full_disk_does_not_end_the_expiry(
    opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor the daemon, which ends with what it does all the time."""
    monkeypatch.setattr("croze.history.history.EXPIRE_EVERY_S", 0.0)
    async with opened() as history, asyncio.TaskGroup() as group:
        for number in range(3):
            await build(history, f"r{number}", created_s=1000 + number)
        await history.settled()
        with monkeypatch.context() as patched:
            patched.setattr(history.records, "delete", full)
            expiring = group.create_task(history.run())
            await asyncio.sleep(0)
            assert "records of builds that are due to go stay" in caplog.text
        while len(await listed(history)) > 2:
            await asyncio.sleep(0)
        expiring.cancel()


async def test_a_long_log_is_written_beside_the_event_loop(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is slow makes whoever writes wait."""
    threads = calling_threads(monkeypatch, DiskBlobWriter, "write")
    pieces = [b"a" * INLINE_BYTES, b"b" * INLINE_BYTES]
    async with opened() as history, history.store.refs.lease() as lease:
        found = await RecordBlobs(history.store.blobs, lease).add(pieces, MEDIA_TYPE)
        assert found.size == 2 * INLINE_BYTES
        assert history.store.blobs.read(found.digest) == b"".join(pieces)
    assert are_beside_the_loop(threads)
