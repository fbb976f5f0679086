"""What `drivers.contract` promises, asked of a driver and a real daemon behind it."""

from __future__ import annotations

import asyncio

from croze.drivers.contract import Driver, NodeStatus

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
SETTINGS = 4
"""The type of the frame by which an HTTP/2 server answers (RFC 9113, section 6.5)."""


async def check_driver(
    driver: Driver, *, fresh: NodeStatus, stopped: NodeStatus, removed: NodeStatus
) -> None:
    """`fresh` is its state before anything was asked; `stopped` and `removed` are what it is after
    it was told to: a driver of somebody else's daemon leaves that running."""
    assert await driver.status() is fresh
    await check_boot(driver)
    await check_dial(driver)
    await check_streams(driver)
    assert isinstance(driver.default_load, bool)
    await driver.remove(state=True, daemon=False)
    assert await driver.status() is NodeStatus.RUNNING, "the daemon was to be kept"
    for _ in range(2):
        await driver.stop()
        assert await driver.status() is stopped
    await driver.boot()
    assert await driver.status() is NodeStatus.RUNNING, "it comes back"
    for _ in range(2):
        await driver.stop()
        await driver.remove(state=True, daemon=True)
        assert await driver.status() is removed


async def check_boot(driver: Driver) -> None:
    """Whatever it takes is told; of a daemon that runs nothing is."""
    await driver.boot()
    assert await driver.status() is NodeStatus.RUNNING
    told: list[object] = []
    await driver.boot(told.append)
    assert told == []


async def check_dial(driver: Driver) -> None:
    """Several clients at once, and one after another."""
    async with driver.dial() as one, driver.dial() as other:
        first, second = await asyncio.gather(one.workers(), other.workers())
        assert first[0].platforms
        assert second[0].platforms
    async with driver.dial() as again:
        assert await again.workers()


async def check_streams(driver: Driver) -> None:
    """A fresh connection, over which HTTP/2 is spoken."""
    async with driver.streams() as (reader, writer):
        writer.write(PREFACE)
        await writer.drain()
        answer = b""
        while len(answer) < 9:
            data = await reader.read(1024)
            assert data, "the daemon hung up"
            answer += data
        assert answer[3] == SETTINGS
