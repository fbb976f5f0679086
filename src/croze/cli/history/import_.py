"""`croze history import`: the records of bundles, into Docker Desktop where it is, as buildx does;
else into the builder's daemon, if that is a `crozed`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from croze.builders.files import BuilderFiles
from croze.builders.localstate import LocalState, save, save_group
from croze.cli import interrupted
from croze.cli.desktop import build_url, open_url, socket_path
from croze.cli.flags import Flags, UsageError
from croze.cli.nodes import ConnectedNode, connected
from croze.client.records.bundles.read import ImportedRecord
from croze.client.records.bundles.upload import import_bundle, upload
from croze.errors import CrozeError, InvalidRequest, os_message
from croze.files.docker_config import buildx_dir
from croze.gotypes.quote import quote

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze history import"


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Import build records from bundles", "[OPTIONS] -")
    flags.texts("-f", "--file", help="Import from a file path")
    flags.add_argument("extra", nargs="*", metavar="")
    args = flags.read(argv, common)
    for word in args.extra:
        if word != "-":
            raise UsageError(f'unknown command {quote(word)} for "{COMMAND}"', COMMAND)
    names = args.file or ["-"]
    desktop = socket_path()
    if desktop is not None:
        _to_desktop(desktop, names)
    else:
        print("\n".join(interrupted.run(_to_daemon(common, names))))
    return 0


def _to_desktop(desktop: Path, names: Sequence[str]) -> None:
    refs: list[str] = []
    for name in names:
        with _opened(name) as source:
            refs += upload(desktop, source)
    if not refs:
        raise InvalidRequest("no build records found in the bundle")
    urls = [build_url(f".imported/_/{ref}") for ref in refs]
    print("\n".join(urls), file=sys.stderr)
    open_url(urls[0])


async def _to_daemon(common: Common, names: Sequence[str]) -> list[str]:
    """Hand bundles to the builder's first node; what the records are called there."""
    refs: list[str] = []
    async with connected(common) as nodes:
        for name in names:
            with _opened(name) as source:
                records = await import_bundle(nodes[0].client.channel, source)
            for one in records:
                _remember(nodes[0], one)
                refs.append(nodes[0].full_ref(one.record.Ref))
    return refs


def _remember(node: ConnectedNode, one: ImportedRecord) -> None:
    """Under which paths it was built, though on another machine: builds are named by them."""
    state, group = one.local.state, one.local.group
    ref = one.record.Ref
    if state is None or node.local_state(ref) is not None:
        return
    files = BuilderFiles(buildx_dir())
    group_ref = state.GroupRef if isinstance(state.GroupRef, str) else ""
    group_ref = group_ref if group is not None and group_ref.isalnum() else ""
    if group is not None and group_ref:
        targets = group.Targets if isinstance(group.Targets, list) else []
        save_group(files, group_ref, targets, group.Refs or ())
    its_state = LocalState(state.Target, state.LocalPath, state.DockerfilePath, group_ref)
    save(files, node.builder, node.name, ref, its_state)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(name, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise CrozeError(f"failed to open file {name}: open {os_message(error)}") from None
    with file:
        yield file
