"""`croze history inspect`: everything about a build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli import interrupted
from croze.cli.common import take_common
from croze.cli.flags import Flags, UsageError
from croze.cli.history import attachment
from croze.cli.history.about import About, describe
from croze.cli.history.find import found
from croze.cli.history.pretty import pretty
from croze.cli.nodes import connected
from croze.errors import InvalidRequest
from croze.gotypes.template import TemplateError, check, render

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze history inspect"


def run(argv: Sequence[str], common: Common) -> int:
    words = take_common(argv, common, COMMAND)
    if words[:1] == ["attachment"]:
        return attachment.run(words[1:], common)
    flags = Flags(COMMAND, "Inspect a build record", "[OPTIONS] [REF]")
    flags.text("--format", help="Format the output", default="pretty")
    flags.add_argument("ref", metavar="REF", nargs="*")
    args = flags.read(words, common)
    if len(args.ref) > 1:
        raise UsageError(f"accepts at most 1 arg(s), received {len(args.ref)}", COMMAND)
    ref = args.ref[0] if args.ref else ""
    about = interrupted.run(_ask(common, ref))
    print(_shown(about, args.format, with_ref=not ref, debug=common.shows_all()))
    return 0


async def _ask(common: Common, ref: str) -> About:
    async with connected(common) as nodes:
        record, node, now_s = await found(nodes, ref)
        return await describe(record, node, now_s)


def _shown(about: About, format: str, *, with_ref: bool, debug: bool) -> str:
    if format == "json":
        return about.json()
    if format == "pretty":
        return pretty(about, with_ref=with_ref, debug=debug)
    try:
        check(format)
    except TemplateError as error:
        raise _refused("parse", error) from None
    try:
        return render(format, about.fields())
    except TemplateError as error:
        raise _refused("execute", error) from None


def _refused(what: str, error: TemplateError) -> InvalidRequest:
    """The template has a name in buildx's messages."""
    named = str(error).replace("template: :", "template: inspect:", 1)
    named = named.replace("started at :", "started at inspect:", 1)
    named = named.replace('executing ""', 'executing "inspect"', 1)
    return InvalidRequest(f"failed to {what} format template: {named}")
