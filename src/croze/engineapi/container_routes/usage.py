"""`stats` and `top`: what a container uses, and which processes it has.

Source: Docker Engine API, "Get container stats based on resource usage".
"""

from __future__ import annotations

import asyncio
import os
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence

import msgspec
from aiohttp import web

from croze.aio.threads import in_thread
from croze.engineapi.answers import HEADERS, json
from croze.engineapi.containers.container import OneContainer
from croze.engineapi.query import UrlQuery
from croze.engineapi.services import Services
from croze.engineapi.times import rfc3339
from croze.errors import CrozeError, InvalidRequest, Unavailable, Unsupported
from croze.runtime.stats import Stats, machine_ns, pids_beside, read_stats

EVERY_S = 1.0
PS_PATIENCE_S = 10.0
Json = dict[str, object]


async def stats(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /containers/NAME/stats`: once a second while it runs, or once; the first of a stream has
    nothing before it."""
    one = services.containers.find(request.match_info["name"])
    query = UrlQuery(request.query.items())
    stream = "stream" not in request.query or query.is_set("stream")
    last = _Sample(one)
    if not stream:
        if one.running and not query.is_set("one-shot"):
            last = await last.next()
            await _pause(one)
        return json((await last.next()).answer())
    answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/json"})
    await answer.prepare(request)
    while one.running:
        last = await last.next()
        await answer.write(msgspec.json.encode(last.answer()) + b"\n")
        await _pause(one)
    await answer.write_eof()
    return answer


async def _pause(one: OneContainer) -> None:
    """Wait until the next sample is due, or the container has ended."""
    try:
        async with asyncio.timeout(EVERY_S):
            await one.ended.wait()
    except TimeoutError:
        pass


class _Sample:
    """One of them, and the one before."""

    def __init__(
        self, one: OneContainer, stats: Stats | None = None, before: _Sample | None = None
    ) -> None:
        self._one = one
        self._stats = stats
        self._before = before
        self._at_ns = time.time_ns() if stats is not None else 0
        self._machine_ns = machine_ns() if stats is not None else 0

    async def next(self) -> _Sample:
        """The container as it is now; of what doesn't run there is nothing."""
        one = self._one
        if not one.pid:
            return _Sample(one, None, None)
        stats = await in_thread(read_stats, one.pid)
        return _Sample(one, stats, self.alone())

    def alone(self) -> _Sample:
        """The sample without those before it, which would never go."""
        self._before = None
        return self

    def answer(self) -> Json:
        before = self._before or _Sample(self._one)
        usage: Json = {
            "name": f"/{self._one.state.name}",
            "id": self._one.id,
            "read": rfc3339(self._at_ns),
            "preread": rfc3339(before._at_ns),
            "num_procs": 0,
            "storage_stats": {},
            "cpu_stats": self._cpu(),
            "precpu_stats": before._cpu(),
        }
        stats = self._stats
        if stats is None:
            return {**usage, "pids_stats": {}, "memory_stats": {}, "blkio_stats": _blkio(Stats())}
        pids = {"current": stats.pids} | ({"limit": stats.pids_limit} if stats.pids_limit else {})
        most = {"max_usage": stats.memory_most_bytes} if stats.memory_most_bytes else {}
        memory = {"usage": stats.memory_bytes, **most, "stats": stats.memory}
        networks = {"networks": stats.networks} if stats.networks else {}
        return {
            **usage,
            "pids_stats": pids,
            "memory_stats": {**memory, "limit": stats.limit_bytes},
            "blkio_stats": _blkio(stats),
            **networks,
        }

    def _cpu(self) -> Json:
        stats = self._stats or Stats()
        throttled = {
            "periods": stats.periods,
            "throttled_periods": stats.throttled_periods,
            "throttled_time": stats.throttled_ns,
        }
        machine = {"system_cpu_usage": self._machine_ns, "online_cpus": os.cpu_count() or 1}
        return {
            "cpu_usage": {
                "total_usage": stats.cpu_total_ns,
                "usage_in_kernelmode": stats.cpu_system_ns,
                "usage_in_usermode": stats.cpu_user_ns,
            },
            **(machine if self._stats is not None else {}),
            "throttling_data": throttled,
        }


def _blkio(stats: Stats) -> Json:
    moved = [
        {"major": major, "minor": minor, "op": op, "value": value}
        for op, values in (("read", stats.read), ("write", stats.written))
        for (major, minor), value in values.items()
    ]
    return {
        "io_service_bytes_recursive": moved or None,
        "io_serviced_recursive": None,
        "io_queue_recursive": None,
        "io_service_time_recursive": None,
        "io_wait_time_recursive": None,
        "io_merged_recursive": None,
        "io_time_recursive": None,
        "sectors_recursive": None,
    }


# -- top --


async def top(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /containers/NAME/top`: what `ps` says of its processes: this machine's ps, with the
    options asked for."""
    one = services.containers.find(request.match_info["name"])
    words = (request.query.get("ps_args") or "-ef").split()
    if any("\0" in word for word in words):
        raise InvalidRequest("ps_args: a zero byte")
    _ = one.process
    pids = await in_thread(pids_beside, one.pid)
    if not pids:
        raise Unsupported("its processes can't be told from this machine's own")
    services.containers.tell(one, "top")
    return json(_told(await _ps(words, pids), pids))


async def _ps(words: Sequence[str], pids: Sequence[int]) -> list[str]:
    """Some options can't be given together with pids."""
    chosen = f"-q{','.join(map(str, pids))}"
    code, out, complaint = await _run("ps", *words, chosen)
    if code:
        code, out, complaint = await _run("ps", *words)
    if code:
        raise CrozeError(f"ps: {complaint.strip().partition(chr(10))[0] or f'exit status {code}'}")
    return out.splitlines()


async def _run(*words: str) -> tuple[int, str, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
    except FileNotFoundError as error:
        raise Unavailable("ps is not installed: install procps") from error
    try:
        async with asyncio.timeout(PS_PATIENCE_S):
            out, complaint = await process.communicate()
    except TimeoutError as error:
        raise Unavailable("ps does not answer") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(errors="replace"), complaint.decode(errors="replace")


def _told(lines: Sequence[str], pids: Sequence[int]) -> Json:
    """The rows of these processes; the last column has what is left of its line."""
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidRequest("Couldn't find PID field in ps output")
    column, pid_texts = titles.index("PID"), {str(pid) for pid in pids}
    rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
    fitting = [row for row in rows if len(row) > column and row[column] in pid_texts]
    return {"Titles": titles, "Processes": fitting}
