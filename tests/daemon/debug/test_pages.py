"""The pages of `--debugaddr` that tell where time and memory go."""

from __future__ import annotations

import asyncio
import marshal
import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from croze.daemon.debug import profiles
from croze.daemon.debug.answers import PIECE_BYTES, lines_sent, list_sent
from croze.daemon.debug.flight import FlightRecorder
from croze.errors import InvalidRequest
from croze.gotypes import gojson

Browser = TestClient[web.Request, web.Application]
FLIGHT = "/debug/flight/trace"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    app = web.Application()
    profiles.add_routes(app)
    recorder = FlightRecorder()
    recorder.add_routes(app)
    async with TestClient(TestServer(app)) as client:
        yield client
    recorder.close()


async def page(browser: Browser, path: str) -> str:
    async with browser.get(path) as response:
        assert response.status == 200
        return await response.text()


async def test_the_index_leads_to_every_profile(browser: Browser) -> None:
    text = await page(browser, "/debug/pprof/")
    for name in profiles.PROFILES:
        assert f"<a href='{name}'>{name}</a>" in text


async def test_stacks_of_threads_and_tasks(browser: Browser) -> None:
    waiting = asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="patient")
    await asyncio.sleep(0)
    text = await page(browser, "/debug/pprof/goroutine")
    waiting.cancel()
    assert "thread MainThread:" in text
    assert "task patient:" in text
    assert "in stacks" in text


async def test_what_memory_is_used_for(browser: Browser) -> None:
    assert " bytes in use, " in await page(browser, "/debug/pprof/heap?seconds=0.01")
    assert "\tbuiltins.dict\n" in await page(browser, "/debug/pprof/objects")


async def test_where_time_goes(browser: Browser) -> None:
    folded = ""
    while "MainThread;" not in folded:  # a busy machine may have no turn for the sampler
        folded = await page(browser, "/debug/pprof/profile?seconds=0.2")
    assert all(line.rpartition(" ")[2].isdecimal() for line in folded.splitlines())
    async with browser.get("/debug/pprof/trace?seconds=0.01") as response:
        assert marshal.loads(await response.read())


async def test_what_the_daemon_was_called_with(browser: Browser) -> None:
    called_with = await page(browser, "/debug/pprof/cmdline")
    assert called_with.split("\0") == sys.orig_argv
    assert await page(browser, "/debug/pprof/symbol") == "num_symbols: 0\n"


async def test_arguments_that_are_no_text(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["crozed", "--root=\udcff"])
    async with browser.get("/debug/pprof/cmdline") as response:
        assert await response.read() == b"crozed\0--root=\xff"


async def test_one_trace_at_a_time(browser: Browser) -> None:
    statuses = await asyncio.gather(_trace_status(browser), _trace_status(browser))
    assert sorted(statuses) == [200, 409]


async def _trace_status(browser: Browser) -> int:
    async with browser.get("/debug/pprof/trace?seconds=0.2") as response:
        return response.status


async def test_who_waits_has_turns_while_much_is_sent() -> None:
    turns = 0

    async def much(request: web.Request) -> web.StreamResponse:
        return await lines_sent(request, ("x" * PIECE_BYTES for _ in range(100)))

    async def patient() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    app = web.Application()
    app.router.add_get("/", much)
    async with TestClient(TestServer(app)) as client:
        waiting = asyncio.get_running_loop().create_task(patient())
        async with client.get("/") as response:
            assert len(await response.read()) == 100 * PIECE_BYTES
        waiting.cancel()
    assert turns >= 100


async def test_lists_are_as_one_value_would_be() -> None:
    values: list[object] = [{"a": [1, {"b": "\udcff\n"}]}, {}, 3]

    async def served(request: web.Request) -> web.StreamResponse:
        return await list_sent(request, values[: int(request.query["n"])])

    app = web.Application()
    app.router.add_get("/", served)
    async with TestClient(TestServer(app)) as client:
        for n in range(len(values) + 1):
            async with client.get(f"/?n={n}") as response:
                assert await response.read() == gojson.marshal_indent(values[:n]) + b"\n"


@pytest.mark.parametrize("seconds", ["x", "-1", "0", "601", "nan", "inf"])
async def test_seconds_that_are_none(seconds: str) -> None:
    request = make_mocked_request("GET", f"/?seconds={seconds}")
    with pytest.raises(InvalidRequest, match=f"invalid value for seconds: {seconds}"):
        profiles.seconds_of(request, 1)


async def status(browser: Browser, method: str, path: str) -> tuple[int, str]:
    async with browser.request(method, path) as response:
        return response.status, await response.text()


async def test_the_flight_recorder_is_started_once(browser: Browser) -> None:
    idle = (409, "flight recorder is not running\n")
    assert await status(browser, "POST", f"{FLIGHT}/stop") == idle
    missing = "could not write in-flight trace: flight recorder is not running\n"
    assert await status(browser, "GET", FLIGHT) == (500, missing)
    assert await status(browser, "POST", f"{FLIGHT}/set_period?period=1s") == (200, "")
    assert await status(browser, "POST", f"{FLIGHT}/start") == (200, "")
    busy = (409, "flight recorder is already running\n")
    assert await status(browser, "POST", f"{FLIGHT}/start") == busy
    late = "flight recorder is running, stop it to change its period\n"
    assert await status(browser, "POST", f"{FLIGHT}/set_period?period=1s") == (412, late)
    assert (await status(browser, "GET", FLIGHT))[0] == 200
    assert await status(browser, "POST", f"{FLIGHT}/stop") == (200, "")
    wrong, text = await status(browser, "POST", f"{FLIGHT}/set_period?period=x")
    assert (wrong, text[:30]) == (400, "invalid flight recorder period")
