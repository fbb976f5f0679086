"""Nodes are booted when they are needed, and equal ones share what is to be done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from croze.api import control_pb2, worker_pb2
from croze.builders.multinode import LEAST_LOADED
from croze.client.connect import Client
from croze.drivers.multinode import NodeOffer, Nodes
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.rpc.channel import Channel


def _parsed(text: str) -> tuple[Platform, ...]:
    return tuple(platforms.normalize(platforms.parse(word)) for word in text.split())


class Daemon(Client):
    """Answers as one that can build `offers` and is at so many builds."""

    def __init__(self, channel: Channel, offers: str, builds: int) -> None:
        super().__init__(channel)
        self._worker = worker_pb2.WorkerRecord()
        for each in _parsed(offers):
            self._worker.platforms.add(OS=each.os, Architecture=each.architecture)
        self._builds = builds

    async def workers(self, filters: object = ()) -> list[worker_pb2.WorkerRecord]:
        return [self._worker]

    async def history(
        self, request: control_pb2.BuildHistoryRequest
    ) -> AsyncIterator[control_pb2.BuildHistoryEvent]:
        assert request.ActiveOnly
        assert request.EarlyExit
        for _ in range(self._builds):
            yield control_pb2.BuildHistoryEvent()


@dataclass
class Site:
    booted: list[str] = field(default_factory=list)

    def offer(self, name: str, offers: str, fixed: str = "", builds: int = 0) -> NodeOffer:
        @asynccontextmanager
        async def dial() -> AsyncIterator[Client]:
            async with Channel("unix:/nowhere") as channel:
                yield Daemon(channel, offers, builds)

        async def boot() -> None:
            self.booted.append(name)

        return NodeOffer(dial, _parsed(fixed), boot)


async def _where(
    nodes: Nodes, wanted: dict[str, str], together: tuple[str, ...] = ()
) -> dict[str, list[int]]:
    async with nodes:
        parsed = {name: _parsed(text) for name, text in wanted.items()}
        shares = await nodes.shares(parsed, [together] if together else [])
        return {name: [share.node for share in its] for name, its in shares.items()}


async def test_daemons_are_asked_only_if_users_have_not_said_enough() -> None:
    site = Site()
    offers = [site.offer("a", "amd64", "amd64"), site.offer("b", "amd64 386", "arm64")]
    assert await _where(Nodes(offers), {"x": "amd64 arm64", "y": ""}) == {"x": [0, 1], "y": [0]}
    assert site.booted == []
    assert await _where(Nodes(offers), {"x": "386 arm64"}) == {"x": [1]}
    assert sorted(site.booted) == ["a", "b"]


async def test_targets_spread_over_equal_nodes() -> None:
    site = Site()
    offers = [site.offer(str(builds), "amd64", builds=builds) for builds in (1, 0, 1)]
    wanted = {"v": "amd64", "w": "amd64", "x": "amd64", "y": "amd64"}
    found = await _where(Nodes(offers, LEAST_LOADED), wanted)
    assert found == {"v": [1], "w": [0], "x": [1], "y": [2]}
    places = await _where(Nodes(offers, LEAST_LOADED), wanted, ("v", "x", "y"))
    assert places == {"v": [1], "x": [1], "y": [1], "w": [0]}
