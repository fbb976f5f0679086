"""A client's content store, lent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from croze import errors
from croze.digests import digest_of
from croze.session import content
from croze.session.providers.content import ContentProvider
from tests.session.conftest import Lend
from tests.support.waiting import PATIENCE_S


async def pieces(data: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), 700_000):
        yield data[start : start + 700_000]


async def test_a_layout_is_written_and_read(lending: Lend, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    digest = digest_of(data)
    async with lending([ContentProvider({"export": tmp_path / "out"})]) as session:
        store = content.LentStore(session, "export")
        with pytest.raises(errors.NotFound):
            await store.info(digest)
        await store.write(digest, len(data), pieces(data))
        unread = pieces(data)
        await store.write(digest, len(data), unread)  # it is there: nothing happens
        assert await anext(unread, None) is None, "closed all the same"
        assert (await store.info(digest)).size == len(data)
        assert [b.digest for b in await store.list()] == [digest]
        assert await store.read_all(digest) == data
        part = b"".join([p async for p in store.read(digest, offset=10, size=5)])
        assert part == data[10:15]
        with pytest.raises(errors.ResourceExhausted):
            await store.read_all(digest, limit=10)
        with pytest.raises(errors.Corrupted, match="unexpected commit digest"):
            await store.write(digest_of(b"other"), 3, pieces(b"abc"))
        with pytest.raises(errors.NotFound, match="unknown store nope"):
            await content.LentStore(session, "nope").info(digest)
    path = tmp_path / "out/blobs/sha256" / digest.removeprefix("sha256:")
    assert path.read_bytes() == data
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["blobs"]


async def test_who_writes_the_same_is_waited_for(
    lending: Lend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, refused, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def pauses() -> Iterator[float]:
        refused.set()
        while True:
            yield 0.01

    monkeypatch.setattr(content, "_longest_pauses_s", pauses)

    async def slowly() -> AsyncGenerator[bytes, None]:
        begun.set()
        await go_on.wait()
        yield b"data"

    async with lending([ContentProvider({"export": tmp_path})]) as session:
        store = content.LentStore(session, "export")
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            first = group.create_task(store.write(digest_of(b"data"), 4, slowly()))
            await begun.wait()
            group.create_task(store.write(digest_of(b"data"), 4, pieces(b"data")))
            await refused.wait()
            first.cancel()
        assert await store.read_all(digest_of(b"data")) == b"data"


async def test_nobody_is_waited_for_who_has_gone(lending: Lend, tmp_path: Path) -> None:
    async with lending([ContentProvider({"export": tmp_path})]) as session:
        store = content.LentStore(session, "export")
    with pytest.raises(errors.Unavailable):
        await asyncio.wait_for(store.write(digest_of(b"data"), 4, pieces(b"data")), PATIENCE_S)
