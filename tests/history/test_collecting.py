"""Blobs of deleted records are collected at once, and once for many that follow."""

from __future__ import annotations

import asyncio

import pytest

from croze.history.collecting import Collector


async def test_one_collection_for_many_deletions(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    began_s, collections = loop.time(), list[int]()
    monkeypatch.setattr(loop, "time", lambda: began_s + len(collections))  # each takes a second
    collector = Collector(lambda: collections.append(1))
    collector.want()
    assert len(collections) == 1
    for _ in range(1000):
        collector.want()
    assert len(collections) == 1
    monkeypatch.undo()
    collector.close()
    assert len(collections) == 2
    collector.close()
    assert len(collections) == 2
