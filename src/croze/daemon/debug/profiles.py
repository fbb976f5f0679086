"""`/debug/pprof/`: what Go's profiles would tell, as Python has it."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import io
import marshal
import sys
import threading
import traceback
import tracemalloc
from collections.abc import Awaitable, Callable, Mapping
from types import FrameType

from aiohttp import web

from croze.aio.threads import in_thread
from croze.daemon.debug.answers import text_answer
from croze.daemon.debug.sampler import LONGEST_S, sampling
from croze.errors import InvalidRequest

PROFILE_S = 30.0
_TRACE_S = 1.0
_HEAP_S = 5.0
_HEAP_LINES = 100
_tracing = asyncio.Lock()
"""Held by the one trace that Python can take at a time."""


def seconds_of(request: web.Request, default: float) -> float:
    """The seconds for which to look. Raises `InvalidRequest`."""
    text = request.query.get("seconds", "")
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = -1
    if not 0 < seconds <= LONGEST_S:
        raise InvalidRequest(f"invalid value for seconds: {text}")
    return seconds


async def index(request: web.Request) -> web.Response:
    """`/debug/pprof/`: the list of profiles."""
    rows = "".join(
        f"<tr><td><a href='{name}'>{name}</a></td><td>{(handler.__doc__ or '').splitlines()[0]}"
        "</td></tr>"
        for name, handler in PROFILES.items()
    )
    page = f"<html><head><title>/debug/pprof/</title></head><body><table>{rows}</table></body>"
    return web.Response(text=page, content_type="text/html")


async def cmdline(request: web.Request) -> web.Response:
    """The command line; arguments are separated by NUL bytes."""
    return text_answer("\0".join(sys.orig_argv))


async def stacks(request: web.Request) -> web.Response:
    """Stacks of all threads and tasks."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    out = io.StringIO()
    for ident, frame in sys._current_frames().items():
        out.write(f"thread {names.get(ident, ident)}:\n")
        out.writelines(reversed([_line(f, number) for f, number in traceback.walk_stack(frame)]))
        out.write("\n")
    for task in sorted(asyncio.all_tasks(), key=lambda t: t.get_name()):
        out.write(f"task {task.get_name()}:\n")
        out.writelines(_line(frame, frame.f_lineno) for frame in task.get_stack())
        out.write("\n")
    return text_answer(out.getvalue())


def _line(frame: FrameType, number: int) -> str:
    """A frame's line without the source: compiled modules have none."""
    code = frame.f_code
    return f'  File "{code.co_filename}", line {number}, in {code.co_qualname}\n'


async def profile(request: web.Request) -> web.Response:
    """Where time goes, in all threads: folded stacks, sampled for ?seconds=30."""
    seconds = seconds_of(request, PROFILE_S)
    with sampling(seconds) as sampler:
        await asyncio.sleep(seconds)
    return text_answer(sampler.folded())


async def trace(request: web.Request) -> web.Response:
    """All calls of the event loop for ?seconds=1: a file for Python's pstats."""
    if _tracing.locked():
        raise web.HTTPConflict(text="a trace is being taken\n")
    profiler = cProfile.Profile()
    seconds = seconds_of(request, _TRACE_S)
    async with _tracing:
        profiler.enable()
        try:
            await asyncio.sleep(seconds)
        finally:
            profiler.disable()
    profiler.create_stats()
    return web.Response(
        body=marshal.dumps(profiler.stats),
        headers={"Content-Disposition": 'attachment; filename="trace.pstats"'},
    )


async def heap(request: web.Request) -> web.Response:
    """What was allocated in ?seconds=5 and is still there, by line of code."""
    if tracemalloc.is_tracing():
        raise web.HTTPConflict(text="a heap profile is being taken\n")
    seconds = seconds_of(request, _HEAP_S)
    tracemalloc.start()
    try:
        await asyncio.sleep(seconds)
        snapshot = tracemalloc.take_snapshot()
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    statistics = await in_thread(snapshot.statistics, "lineno")
    lines = [f"{current} bytes in use, {peak} at most", *map(str, statistics[:_HEAP_LINES])]
    return text_answer("\n".join(lines) + "\n")


async def objects(request: web.Request) -> web.Response:
    """How many objects of which type the garbage collector knows."""
    counts: dict[str, int] = {}
    for each in gc.get_objects():
        name = f"{type(each).__module__}.{type(each).__qualname__}"
        counts[name] = counts.get(name, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return text_answer("".join(f"{count}\t{name}\n" for name, count in ordered))


async def symbol(request: web.Request) -> web.Response:
    """`/debug/pprof/symbol`: there are no symbols, as all names are in the profiles."""
    return text_answer("num_symbols: 0\n")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROFILES: Mapping[str, Handler] = {
    "allocs": heap,
    "cmdline": cmdline,
    "goroutine": stacks,
    "heap": heap,
    "objects": objects,
    "profile": profile,
    "symbol": symbol,
    "trace": trace,
}


def add_routes(app: web.Application) -> None:
    app.router.add_get("/debug/pprof/", index)
    for name, handler in PROFILES.items():
        app.router.add_route("*", f"/debug/pprof/{name}", handler)
