"""`croze history export`: build records into a bundle (`.dockerbuild`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from croze.builders.localstate import LocalState, read_group
from croze.cli import interrupted
from croze.cli.flags import Flags
from croze.cli.history.find import FoundRecord, queried
from croze.cli.nodes import ConnectedNode, connected
from croze.client.planning.platforms import worker_platforms
from croze.client.records import history
from croze.client.records.bundles.record import BundledGroup, BundledState, Remembered
from croze.client.records.bundles.write import ExportedRecord, write
from croze.errors import CrozeError, InvalidRequest, NotFound, os_message, os_reason
from croze.files.atomic import appearing, file_named
from croze.files.docker_config import buildx_dir
from croze.gotypes.quote import quote
from croze.image import platform as platforms

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze history export"


def run(argv: Sequence[str], common: Common) -> int:
    about = "Export build records into Docker Desktop bundle"
    flags = Flags(COMMAND, about, "[OPTIONS] [REF...]")
    flags.switch("--all", help="Export all build records for the builder")
    flags.switch("--finalize", help="Ensure build records are finalized before exporting")
    flags.text("-o", "--output", help="Output file path")
    flags.add_argument("refs", metavar="REF", nargs="*")
    args = flags.read(argv, common)
    if args.all and args.refs:
        raise InvalidRequest("cannot specify refs when using --all")
    interrupted.run(
        _export(common, args.refs, args.output, everything=args.all, whole=args.finalize)
    )
    return 0


async def _export(
    common: Common, refs: Sequence[str], output: str, *, everything: bool, whole: bool
) -> None:
    async with connected(common) as nodes:
        records = [one for ref in refs or [""] for one in await _wanted(nodes, ref, everything)]
        if whole:
            records = await _finalized(records)
        exported = [await _exported(one) for one in records]
        try:
            with _opened(output) as out:
                await write(exported, out)
        except OSError as error:
            reason = f"open {output}: {os_reason(error)}"
            raise CrozeError(f"failed to create output file {quote(output)}: {reason}") from None


async def _wanted(nodes: Sequence[ConnectedNode], ref: str, everything: bool) -> list[FoundRecord]:
    records = await queried(nodes, ref, completed=True)
    if not records:
        raise NotFound(f"no record found for ref {quote(ref)}" if ref else "no records found")
    if everything or ref:
        return records
    latest = records[0].record.Ref
    count = next((i for i, one in enumerate(records) if one.record.Ref != latest), len(records))
    return records[:count]


async def _finalized(records: Sequence[FoundRecord]) -> list[FoundRecord]:
    """The records with the traces that their daemons were still waiting for."""
    finalized: list[FoundRecord] = []
    for one in records:
        if not one.record.HasField("trace"):
            await history.finalize(one.node.client.channel, one.record.Ref)
            finalized += await queried([one.node], one.record.Ref, completed=True)
        else:
            finalized.append(one)
    return finalized


async def _exported(one: FoundRecord) -> ExportedRecord:
    state = one.node.local_state(one.record.Ref)
    local = Remembered(
        await _platform(one.node), _state(state), _group(state.group_ref if state else "")
    )
    return ExportedRecord(one.node.client.channel, one.record, local)


async def _platform(node: ConnectedNode) -> str:
    """The first that the node has: buildx writes what it does not ask daemons for as nothing."""
    for platform in node.fixed:
        return platforms.format_all(platforms.normalize(platform))
    for worker in await node.client.workers():
        for platform in worker_platforms(worker):
            return platforms.format_all(platforms.normalize(platform))
    return ""


def _state(state: LocalState | None) -> BundledState | None:
    if state is None:
        return None
    group = {"GroupRef": state.group_ref} if state.group_ref else {}
    return BundledState(state.target, state.local_path, state.dockerfile_path, **group)


def _group(ref: str) -> BundledGroup | None:
    if not ref:
        return None
    try:
        group = read_group(buildx_dir(), ref)
    except OSError as error:
        raise CrozeError(os_message(error)) from None
    targets = {"Targets": list(group.targets)} if group.targets else {}
    return BundledGroup(Refs=None if group.refs is None else list(group.refs), **targets)


@contextmanager
def _opened(output: str) -> Iterator[BinaryIO]:
    if output:
        with appearing(file_named(output)) as file:
            yield file
        return
    if sys.stdout.isatty():
        raise InvalidRequest("refusing to write to console, use --output to specify a file")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()
