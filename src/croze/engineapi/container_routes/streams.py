"""`attach`, `logs` and `wait`: what a container says, and that it has ended."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence

import msgspec
from aiohttp import web

from croze.engineapi.answers import HEADERS, at_least
from croze.engineapi.container_routes import detach
from croze.engineapi.container_routes.joined import join
from croze.engineapi.containers.container import OneContainer
from croze.engineapi.containers.output import STDERR, STDOUT, LogEntry, framed
from croze.engineapi.hijack import AnsweredOnStream, take_stream
from croze.engineapi.query import UrlQuery, refuse
from croze.engineapi.services import Services
from croze.engineapi.times import moment_ns
from croze.errors import InvalidRequest

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
CONDITIONS = ("", "not-running", "next-exit", "removed")
TAIL_MOST = 10**6


def stream_type(request: web.Request, *, tty: bool) -> str:
    """The media type of a process's output."""
    return MULTIPLEXED if at_least(request, "1.42") and not tty else RAW


def _media_type(one: OneContainer, request: web.Request) -> str:
    return stream_type(request, tty=one.spec.tty)


def _streams(query: UrlQuery) -> list[int]:
    named = (("stdout", STDOUT), ("stderr", STDERR))
    return [number for name, number in named if query.is_set(name)]


# -- wait --


async def wait(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /containers/NAME/wait`. The answer begins at once: clients wait for that before they
    start the container."""
    one = services.containers.find(request.match_info["name"])
    condition = request.query.get("condition", "")
    if condition not in CONDITIONS:
        raise InvalidRequest(f'invalid condition: "{condition}"')
    end = one.next_end if condition == "next-exit" else one.ended
    answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/json"})
    await answer.prepare(request)
    if condition == "removed":
        await one.removed.wait()
    elif condition == "next-exit" or one.running:
        await end.wait()
    await answer.write(msgspec.json.encode({"StatusCode": one.state.exit_code}) + b"\n")
    await answer.write_eof()
    return answer


# -- logs --


async def logs(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /containers/{name}/logs`, with `follow` until the container ends."""
    one = services.containers.find(request.match_info["name"])
    query = UrlQuery(request.query.items())
    refuse(request, {"details": "attributes of logs"})
    if not (streams := _streams(query)):
        raise InvalidRequest("Bad parameters: you must choose at least one stream")
    tail = query.first("tail")
    if tail not in ("", "all", "-1") and not tail.isdecimal():
        tail = "all"
    since = moment_ns("since", query.first("since")) if query.first("since") else 0
    until = moment_ns("until", query.first("until")) if query.first("until") else 1 << 63
    stamps, tty = query.is_set("timestamps"), one.spec.tty
    answer = web.StreamResponse(headers={**HEADERS, "Content-Type": _media_type(one, request)})
    await answer.prepare(request)
    with one.output.listening(streams) as listener:
        size = one.output.size()
        live = query.is_set("follow") and one.running
        async for entry in _last(one.output.kept(size), streams, tail):
            if since <= entry.time_ns <= until:
                await answer.write(framed(entry, tty=tty, timestamps=stamps))
        if live:
            async for entry in listener.entries():
                if entry.time_ns > until:
                    break
                await answer.write(framed(entry, tty=tty, timestamps=stamps))
    await answer.write_eof()
    return answer


async def _last(
    entries: AsyncIterator[LogEntry], streams: Sequence[int], tail: str
) -> AsyncIterator[LogEntry]:
    """The entries of these streams; the last `tail` lines of them, if that is a number."""
    if not tail.isdecimal():
        async for entry in entries:
            if entry.stream in streams:
                yield entry
        return
    last_lines: deque[LogEntry] = deque(maxlen=min(int(tail[:7]), TAIL_MOST))
    async for entry in entries:
        if entry.stream in streams:
            last_lines.extend(_lines(entry))
    for entry in last_lines:
        yield entry


def _lines(entry: LogEntry) -> list[LogEntry]:
    """One for each line: a piece of output may have several."""
    if entry.raw:
        return [entry]
    lines = entry.log.splitlines(keepends=True)
    return [msgspec.structs.replace(entry, log=line) for line in lines]


# -- attach --


async def attach(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /containers/{name}/attach`: the connection becomes the container's streams."""
    one = services.containers.find(request.match_info["name"])
    query = UrlQuery(request.query.items())
    keys = detach.parse(query.first("detachKeys")) if one.spec.tty else b""
    streams = _streams(query)
    typed = query.is_set("stdin") and one.spec.open_stdin
    services.containers.tell(one, "attach")
    with one.output.listening(streams) as listener:
        entries = one.output.kept(one.output.size())
        client = take_stream(request, _media_type(one, request))
        try:
            if query.is_set("logs"):
                async for entry in _last(entries, streams, "all"):
                    await client.write(framed(entry, tty=one.spec.tty))
            if query.is_set("stream"):
                await join(
                    client,
                    listener,
                    one.input.type_in if typed else None,
                    tty=one.spec.tty,
                    ends_input=one.spec.stdin_once,
                    keys=keys,
                )
        except OSError:
            pass  # the client has gone
        finally:
            client.close()
    return AnsweredOnStream()
