"""Pages of traces on an address of this machine's, until it is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import sys
from collections.abc import Sequence

from aiohttp import web

from croze.aio.threads import in_thread
from croze.cli.desktop import open_url
from croze.cli.history.trace_page import SpanTrace, comparison, page
from croze.errors import CrozeError, InvalidRequest, os_message
from croze.gotypes import gojson

_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


async def serve(traces: Sequence[SpanTrace], address: str) -> None:
    """Serve one trace, or two to compare, until interrupted. Says where, and opens a browser if
    there is one."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise InvalidRequest(f"listen tcp: address {address}: missing port in address")
    path = "/trace/" + "...".join(trace.id for trace in traces)
    runner = web.AppRunner(_application(traces, path), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host.strip("[]") or None, int(port))
        await site.start()
        url = f"http://{_listening(runner)}{path}"
        print(f"Trace available at {url}", file=sys.stderr, flush=True)
        with contextlib.suppress(CrozeError):
            await in_thread(open_url, url)
        await asyncio.Event().wait()
    except OSError as error:
        raise CrozeError(f"listen tcp {address}: {os_message(error)}") from None
    finally:
        await runner.cleanup()


def _listening(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_for_us(host: str, listening: str) -> bool:
    """No page of the web comes here by a name that it has given this machine."""
    if not ipaddress.ip_address(listening).is_loopback:
        return True
    name = host.rpartition(":")[0] or host
    return name in (listening, f"[{listening}]", "localhost")


def _application(traces: Sequence[SpanTrace], path: str) -> web.Application:
    pages = {f"/trace/{trace.id}": page(trace) for trace in traces}
    if len(traces) == 2:
        pages[path] = comparison(*traces)
    data = {f"/api/traces/{trace.id}": trace.json for trace in traces}

    async def answer(request: web.Request) -> web.StreamResponse:
        peer = request.transport.get_extra_info("sockname") if request.transport else None
        if peer is not None and not _is_for_us(request.host, str(peer[0])):
            raise web.HTTPMisdirectedRequest
        if request.path == "/":
            raise web.HTTPFound(path)
        if request.path in pages:
            return web.Response(
                text=pages[request.path], content_type="text/html", headers=_HEADERS
            )
        if request.path in data:
            body = gojson.marshal_indent_as_is({"data": [data[request.path]]})
            return web.Response(body=body, content_type="application/json")
        raise web.HTTPNotFound

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    return application
