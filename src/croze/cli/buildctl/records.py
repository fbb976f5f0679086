"""`buildctl prune-histories`, and `buildctl debug` on records of builds and on definitions."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from croze.cli.buildctl.connection import ConnectionSettings
from croze.cli.buildctl.flags import ConnectionFlags
from croze.cli.buildctl.templates import FORMAT, check, message_struct, rendered
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.gotypes.moments import local_rfc3339
from croze.gotypes.tabwriter import align_by_tabs

if TYPE_CHECKING:
    import grpc.aio
    from google.protobuf.message import Message

    from croze.api import control_pb2
    from croze.client.records.history import Record

_HEADER = "TYPE\tREF\tCREATED\tCOMPLETED\tGENERATION"


def run(name: str, argv: Sequence[str], connection: ConnectionSettings) -> int:
    """`prune-histories`: remove every record that is not pinned."""
    flags = ConnectionFlags(f"buildctl {name}", "clean up build histories")
    flags.text("--format", help=FORMAT)
    args, connection = flags.take(argv, connection)
    check(args.format)
    asyncio.run(_prune(connection, args.format))
    return 0


async def _prune(connection: ConnectionSettings, format: str) -> None:
    from croze.client.records import history

    rows, failures = [_HEADER], list[str]()
    async with connection.client() as client:
        async for event in history.events(client.channel):
            record = event.record
            if not event.HasField("record") or record.pinned:
                continue
            try:
                await history.delete(client.channel, record.Ref)
            except CrozeError as error:
                failures.append(str(error))
                continue
            if format:
                sys.stdout.write(rendered(format, message_struct(event)))
            else:
                rows.append(_row(event))
    if not format:
        sys.stdout.write(align_by_tabs("\n".join(rows) + "\n"))
    if failures:
        raise CrozeError("\n".join(failures))


def _row(event: control_pb2.BuildHistoryEvent) -> str:
    record = event.record
    created, completed = (
        local_rfc3339(getattr(record, name), fraction=False) if record.HasField(name) else ""
        for name in ("CreatedAt", "CompletedAt")
    )
    return f"{_kind(event)}\t{record.Ref}\t{created}\t{completed}\t{record.Generation}"


def _kind(event: control_pb2.BuildHistoryEvent) -> str:
    from croze.api.control_pb2 import BuildHistoryEventType

    return BuildHistoryEventType.Name(event.type)


# -- debug --


def debug(
    what: str, flags: ConnectionFlags, argv: Sequence[str], connection: ConnectionSettings
) -> int:
    match what:
        case "histories":
            flags.text("--format", help=FORMAT)
        case "logs":
            flags.text("--progress", help="progress output type", default="auto")
            flags.switch("--trace", help="show opentelemetry trace")
        case "monitor":
            flags.switch("--completed", help="show completed builds")
            flags.text("--ref", help="show events for a specific build")
        case "ctl":
            flags.switch("--pin", help="Pin build so it will not be garbage collected")
            flags.switch("--unpin", help="Unpin build so it will be garbage collected")
            flags.switch("--delete", help="Delete build record")
        case "dump-llb":
            flags.switch("--dot", help="Output dot format")
    if what not in ("histories", "monitor"):
        flags.add_argument("word", metavar="FILE" if what == "dump-llb" else "REF", nargs="?")
    args, connection = flags.take(argv, connection)
    if what == "dump-llb":
        return _dump(args.word or "-", dot=args.dot)
    asyncio.run(_COMMANDS[what](connection, args))
    return 0


def _dump(path: str, *, dot: bool) -> int:
    from croze.client.builds import definitions

    with sys.stdin.buffer if path == "-" else open(path, "rb") as file:
        data = file.read()
    for line in definitions.dot(data) if dot else definitions.listed(data):
        print(line)
    return 0


async def _histories(connection: ConnectionSettings, args: argparse.Namespace) -> None:
    from croze.client.records import history

    check(args.format)
    rows = [f"{_HEADER}\tPINNED"]
    async with connection.client() as client:
        async for event in history.events(client.channel):
            if args.format:
                sys.stdout.write(rendered(args.format, message_struct(event)))
            rows.append(f"{_row(event)}\t{'*' if event.record.pinned else ''}")
    if not args.format:
        sys.stdout.write(align_by_tabs("\n".join(rows) + "\n"))


async def _monitor(connection: ConnectionSettings, args: argparse.Namespace) -> None:
    from croze.client.records import history

    async with connection.client() as client:
        coming = history.events(
            client.channel, args.ref, follow=True, active_only=not args.completed
        )
        async with aclosing(coming) as events:
            async for event in events:
                print(f"event: {_kind(event)} ref:{event.record.Ref}")
                sys.stdout.write("".join(f"  {line}\n" for line in _facts(event.record)))
                sys.stdout.flush()


def _facts(record: Record) -> list[str]:
    lines = []
    if record.numTotalSteps:
        lines.append(f"cache: {record.numCachedSteps}/{record.numTotalSteps}")
    if record.numWarnings:
        lines.append(f"warnings: {record.numWarnings}")
    for name in ("logs", "trace"):
        if record.HasField(name):
            lines.append(f"{name}: {_line(getattr(record, name))}")
    results = [("", record.Result)] if record.HasField("Result") else []
    results += [(f"[{key}] ", record.Results[key]) for key in sorted(record.Results)]
    for prefix, result in results:
        listed = list(result.Results.values()) or (
            [result.ResultDeprecated] if result.HasField("ResultDeprecated") else []
        )
        lines += [f"{prefix}descriptor: {_line(each)}" for each in listed]
        lines += [f"{prefix}attestation: {_line(each)}" for each in result.Attestations]
    return lines


def _line(message: Message) -> str:
    from google.protobuf.text_format import MessageToString

    return MessageToString(message, as_one_line=True)


async def _logs(connection: ConnectionSettings, args: argparse.Namespace) -> None:
    from croze.client.records import history
    from croze.progress.display import make_display, running

    ref = _word(args, "build ref")
    async with connection.client() as client:
        if args.trace:
            listed = await history.records(client.channel, ref)
            if not listed.records:
                raise NotFound(f"ref {ref} not found")
            if not listed.records[0].HasField("trace"):  # it comes a while after the build
                await history.finalize(client.channel, ref)
                listed = await history.records(client.channel, ref)
            if not listed.records[0].HasField("trace"):
                raise NotFound(f"ref {ref} does not have trace")
            await _copy(client.channel, listed.records[0].trace.digest)
            return
        display = make_display(args.progress, sys.stdout.buffer)
        async with running(display):
            async for response in history.status(client.channel, ref):
                display.update(response)


async def _get(connection: ConnectionSettings, args: argparse.Namespace) -> None:
    from croze.image.reference import check_digest

    digest = _word(args, "blob digest")
    check_digest(digest)
    async with connection.client() as client:
        await _copy(client.channel, digest)


async def _copy(channel: grpc.aio.Channel, digest: str) -> None:
    from croze.client.records import history

    async for part in history.blob(channel, digest):
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


async def _ctl(connection: ConnectionSettings, args: argparse.Namespace) -> None:
    from croze.client.records import history

    ref = _word(args, "build ref")
    if not (args.pin or args.unpin or args.delete):
        raise InvalidRequest("must specify one of --pin, --unpin, --delete")
    if args.pin and args.unpin:
        raise InvalidRequest("cannot specify both --pin and --unpin")
    if args.delete and (args.pin or args.unpin):
        raise InvalidRequest("cannot specify --delete with --pin or --unpin")
    async with connection.client() as client:
        if args.delete:
            await history.delete(client.channel, ref)
        else:
            await history.pin(client.channel, ref, pinned=args.pin)


def _word(args: argparse.Namespace, what: str) -> str:
    if not args.word:
        raise InvalidRequest(f"{what} must be specified")
    return str(args.word)


_COMMANDS = {
    "histories": _histories,
    "monitor": _monitor,
    "logs": _logs,
    "get": _get,
    "ctl": _ctl,
}
