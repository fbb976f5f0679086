"""`croze imagetools create`: a new image out of others, without a build."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from croze.aio import interrupts
from croze.builders.known import builder_files
from croze.cli.flags import Flags
from croze.cli.guard import interrupt_on_sigterm
from croze.client.flags.image import annotation_keys
from croze.errors import InvalidRequest, NotFound, os_reason
from croze.files.terminals import for_terminals
from croze.gotypes.quote import quote
from croze.image import platform as platforms
from croze.image.descriptor import Descriptor
from croze.image.platform import Platform
from croze.imagetools import create, sources
from croze.imagetools import location as locations
from croze.imagetools.create import CreateRequest, Made
from croze.imagetools.location import Location
from croze.imagetools.places import Places, opened
from croze.progress.display import make_display, running
from croze.progress.own import own_step

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze imagetools create"
NONE = "none"
"""A mode of progress that others call quiet."""


def run(argv: Sequence[str], common: Common) -> int:
    args = _flags().read(argv, common)
    if not args.sources and not args.file:
        raise InvalidRequest("no sources specified")
    if not args.dry_run and not args.tag:
        raise InvalidRequest("can't push with no tags specified, please set --tag or --dry-run")
    request = _request(args)
    mode = "quiet" if args.progress == NONE else args.progress
    interrupt_on_sigterm()
    published = interrupts.run(_create(request, common, mode, dry_run=args.dry_run))
    if args.dry_run:
        for_terminals(sys.stdout.buffer).write(published.image.data + b"\n")
        sys.stdout.buffer.flush()
    elif args.metadata_file:
        _write_metadata(args.metadata_file, published.image.descriptor, request.targets)
    return 0


def _flags() -> Flags:
    flags = Flags(COMMAND, "Create a new image based on source images", "[OPTIONS] [SOURCE...]")
    flags.texts("--annotation", help="Add annotation to the image")
    flags.switch("--append", help="Append to existing manifest")
    flags.switch("--dry-run", help="Show final image instead of pushing")
    flags.texts("-f", "--file", help="Read source descriptor from file")
    flags.text("--metadata-file", help="Write create result metadata to a file")
    flags.texts("-p", "--platform", help="Filter specified platforms of target image")
    flags.switch(
        "--prefer-index",
        help="When only a single source is specified, prefer outputting an image index or manifest "
        "list instead of performing a carbon copy (default true)",
    )
    flags.set_defaults(prefer_index=True)
    flags.text(
        "--progress",
        help='Set type of progress output ("auto", "none", "plain", "rawjson", "tty")',
        default="auto",
    )
    flags.texts("-t", "--tag", help="Set reference for new image")
    flags.add_argument("sources", nargs="*", metavar="SOURCE")
    return flags


def _request(args: argparse.Namespace) -> CreateRequest:
    words = [*map(_file, args.file), *args.sources]
    targets = [locations.parse(text) for text in args.tag]
    if args.append and targets:
        words.insert(0, args.tag[0])
    parsed = [sources.parse(word) for word in words]
    platforms = _platforms(args.platform)
    return CreateRequest(
        parsed, targets, annotation_keys(args.annotation), platforms, args.prefer_index
    )


def _file(name: str) -> str:
    try:
        return Path(name).read_text(errors="replace")
    except OSError as error:
        raise NotFound(f"open {name}: {os_reason(error)}") from None


def _platforms(texts: Sequence[str]) -> list[Platform]:
    parsed = []
    for word in (word for text in texts for word in text.split(",")):
        try:
            parsed.append(platforms.parse(word))
        except InvalidRequest as error:
            raise error.wrap(f"invalid platform {quote(word)}") from None
    return parsed


async def _create(request: CreateRequest, common: Common, mode: str, *, dry_run: bool) -> Made:
    async with opened(builder_files(common.builder)) as places:
        image = await create.make(request, places)
        if not dry_run:
            await _publish(image, request.targets, places, mode)
        return image


async def _publish(image: Made, targets: Sequence[Location], places: Places, mode: str) -> None:
    async with running(make_display(mode, sys.stderr.buffer)) as display:

        def step(name: str) -> AbstractContextManager[Callable[[str], None]]:
            return own_step(f"[internal] {name}", display.update)

        await create.publish(image, targets, places, step)


def _write_metadata(path: str, descriptor: Descriptor, targets: Sequence[Location]) -> None:
    """Names of buildx's metadata for builds."""
    from croze.client.builds.metadata import write_metadata

    names = sorted({target.name for target in targets})
    value = {"containerimage.descriptor": descriptor, "image.name": ",".join(names)}
    write_metadata(path, value)
