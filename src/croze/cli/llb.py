"""`croze llb`: definitions, below all frontends: built as they are, or shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croze.cli.common import take_common
from croze.cli.daemon import dialler
from croze.cli.definition import definition_build
from croze.cli.flags import Flags, UsageError
from croze.cli.guard import interrupt_on_sigterm
from croze.cli.progress import PROGRESS

if TYPE_CHECKING:
    from croze.cli.common import Common


def run(argv: Sequence[str], common: Common) -> int:
    """`build` or `dump`."""
    words = take_common(argv, common, "croze llb")
    match words[0] if words else "":
        case "build":
            return build(words[1:], common)
        case "dump":
            return dump(words[1:], common)
    flags = Flags("croze llb", "Work with LLB definitions", "build|dump [OPTIONS]")
    flags.add_argument("what", metavar="build|dump", nargs="?")
    flags.read(words, common)
    raise UsageError("'croze llb' requires build or dump", "croze llb")


def build(argv: Sequence[str], common: Common) -> int:
    """Build the definition on standard input."""
    about = "Build the LLB definition on standard input"
    flags = Flags("croze llb build", about, "[OPTIONS] < DEFINITION")
    flags.texts("--allow", help="Allow extra privileged entitlement (e.g. network.host)")
    flags.text("--metadata-file", help="Write build result metadata to a file")
    flags.switch("--no-cache", help="Do not use cache when building")
    flags.texts("--oci-layout", help="An OCI layout that the definition uses (name=path)")
    flags.text("--source-policy-file", help="Rules for what the build may use (JSON)")
    flags.texts("--local", help="A directory that the definition uses (name=path)")
    flags.texts("-o", "--output", help="Output destination (type=local,dest=path)")
    flags.switch("--proxy-network", help="Steps reach the web by way of the daemon alone")
    flags.text("--progress", help=f"Set type of progress output ({', '.join(PROGRESS)})")
    flags.texts("--secret", help="Secret to expose to the build (id=mysecret,src=/local/secret)")
    flags.texts("--ssh", help="SSH agent socket or keys to expose to the build")
    args = flags.read(argv, common)
    if sys.stdin.isatty():
        raise UsageError("'croze llb build' reads a definition from standard input", flags.prog)
    if args.progress and args.progress not in PROGRESS:
        raise UsageError(f"invalid progress mode {args.progress}", flags.prog)

    from croze.aio import interrupts
    from croze.client.builds import llb

    request = definition_build(
        args, sys.stdin.buffer.read(), args.output, metadata_file=args.metadata_file
    )
    dial = dialler(common)
    interrupt_on_sigterm()
    interrupts.run(llb.build(request, dial=dial, progress=args.progress or "auto"))
    return 0


def dump(argv: Sequence[str], common: Common) -> int:
    """Print JSON: a line an op of a definition, or all that a Dockerfile becomes."""
    about = "Show a definition, or what a Dockerfile becomes, as JSON"
    flags = Flags("croze llb dump", about, "[OPTIONS] [PATH | DEFINITION | -]")
    flags.texts("--build-arg", help="Set build-time variables")
    flags.switch("--dot", help="Draw a definition as a graph, for Graphviz")
    flags.text("-f", "--file", help='Name of the Dockerfile (default "PATH/Dockerfile")')
    flags.text("--target", help="Set the target build stage to build")
    flags.add_argument("source", metavar="PATH | DEFINITION | -", nargs="?", default="-")
    args = flags.read(argv, common)
    if Path(args.source).is_dir():
        if args.dot:
            raise UsageError("--dot draws definitions, and no Dockerfiles", flags.prog)
        print(_convert(args.source, args.file, args.target, args.build_arg, common))
        return 0

    from croze.client.builds import definitions

    data = sys.stdin.buffer.read() if args.source == "-" else Path(args.source).read_bytes()
    for line in definitions.dot(data) if args.dot else definitions.dump(data):
        print(line)
    return 0


def _convert(context: str, file: str, target: str, args: Sequence[str], common: Common) -> str:
    from croze.aio import interrupts
    from croze.client.builds.build import run_build
    from croze.client.builds.result import BuildResult
    from croze.client.planning.builder import crozed
    from croze.client.planning.options import BuildOptions
    from croze.progress.display import make_display

    options = BuildOptions(
        context=context, dockerfile=file, target=target, build_args=args, call="convertllb"
    )
    dial = dialler(common)

    async def work() -> BuildResult:
        display = make_display("quiet", sys.stderr.buffer)
        async with dial() as client:
            return await run_build(client, options, display, builder=crozed())

    result = interrupts.run(work())
    return result.response["result.json"]
