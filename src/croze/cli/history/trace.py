"""`croze history trace`: when a build did what, for other tools or in a browser.

Written elsewhere than to a terminal, it is the JSON that Jaeger's interface takes, as buildx writes
it. On a terminal, and to compare two builds, buildx serves Jaeger's own interface; here the pages
are our own, without scripts, and the JSON is beside them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli import interrupted
from croze.cli.flags import Flags, UsageError
from croze.cli.history.find import found
from croze.cli.nodes import ConnectedNode, connected
from croze.client.records import history
from croze.client.records.bundles import jaeger, spans
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.files.terminals import for_terminals
from croze.gotypes import gojson
from croze.gotypes.quote import quote

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.cli.history.trace_page import SpanTrace

COMMAND = "croze history trace"
ADDRESS = "127.0.0.1:0"


def run(argv: Sequence[str], common: Common) -> int:
    about = "Show the OpenTelemetry trace of a build record"
    flags = Flags(COMMAND, about, "[OPTIONS] [REF]")
    flags.text("--addr", help="Address to bind the UI server", default=ADDRESS)
    flags.text("--compare", help="Compare with another build record")
    flags.add_argument("ref", metavar="REF", nargs="*")
    args = flags.read(argv, common)
    if len(args.ref) > 1:
        raise UsageError(f"accepts at most 1 arg(s), received {len(args.ref)}", COMMAND)
    ref = args.ref[0] if args.ref else ""
    if sys.stdout.isatty() or args.compare:
        return _serve(common, ref, args.compare, args.addr)
    trace = jaeger.trace(interrupted.run(_load(common, ref)))
    text = gojson.marshal_indent_as_is({"data": [trace]})
    for_terminals(sys.stdout.buffer).write(text + b"\n\n")
    return 0


def _serve(common: Common, ref: str, compare: str, address: str) -> int:
    from croze.cli.guard import interrupt_on_sigterm
    from croze.cli.history.trace_page import SpanTrace
    from croze.cli.history.trace_server import serve

    async def work() -> None:
        traces: list[SpanTrace] = [SpanTrace.of(await _load(common, ref))]
        if compare:
            try:
                traces.insert(0, SpanTrace.of(await _load(common, compare)))
            except CrozeError as error:
                raise error.wrap(f"failed to load trace for {compare}") from None
        await serve(traces, address)

    interrupt_on_sigterm()
    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        return 0
    return 0


async def _load(common: Common, ref: str) -> list[spans.Span]:
    async with connected(common) as nodes:
        record, node, _ = await found(nodes, ref, completed=True)
        if not record.HasField("trace"):
            record = await _finalized(node, record.Ref)
        channel = node.client.channel
        data = await history.small_blob(channel, record.trace.digest)
    parsed = spans.parse(data)
    if not parsed:
        raise InvalidRequest("no trace data")
    return parsed


async def _finalized(node: ConnectedNode, ref: str) -> history.Record:
    """The record with its trace, which its daemon may still have been waiting for."""
    await history.finalize(node.client.channel, ref)
    listed = await history.records(node.client.channel, ref, completed=True)
    if not listed.records:
        raise NotFound(f"build record {quote(ref)} was deleted")
    if not listed.records[0].HasField("trace"):
        raise NotFound(f"build record {quote(ref)} is missing a trace")
    return listed.records[0]
