"""`croze build`: buildx's flags, its progress, its exit codes."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.cli import early
from croze.cli.call import CallMode, Findings, answer, parse_call
from croze.cli.daemon import reaches
from croze.cli.desktop import print_details
from croze.cli.flags import Flags, UsageError, default_platform
from croze.cli.guard import interrupt_on_sigterm
from croze.cli.plugin import tool
from croze.cli.progress import PROGRESS, progress_mode, resolved
from croze.drivers.reach import Reach

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.builds.result import BuildResult
    from croze.client.planning.options import BuildOptions
    from croze.progress.display import Display


@functools.cache
def flags() -> Flags:
    """The flags, in buildx's order."""
    flags = Flags("croze build", "Start a build", "[OPTIONS] PATH | URL | -")
    flags.slices("--add-host", help="Add a custom host-to-IP mapping (host:ip)")
    flags.texts("--allow", help="Allow extra privileged entitlement (e.g. network.host)")
    flags.texts("--annotation", help="Add annotation to the image")
    flags.texts("--attest", help="Attestation parameters (type=sbom,generator=image)")
    flags.texts("--build-arg", help="Set build-time variables")
    flags.texts("--build-context", help="Additional build contexts (name=path)")
    flags.texts("--cache-from", help="External cache sources (user/app:cache, type=local,src=dir)")
    flags.texts("--cache-to", help="Cache export destinations (type=local,dest=dir)")
    flags.text("--call", help='Set method for evaluating build ("check", "outline", "targets")')
    flags.text("--cgroup-parent", help="Set the parent cgroup for the RUN instructions")
    flags.shorthand("--check", of="call", value="check", help='Shorthand for "--call=check"')
    flags.alias("--print", of="call")
    flags.switch("--detach", help="Print the build's ref and let it go on (croze attach)")
    flags.text("-f", "--file", help='Name of the Dockerfile (default "PATH/Dockerfile")')
    flags.text("--iidfile", help="Write the image ID to a file")
    flags.texts("--label", help="Set metadata for an image")
    flags.switch("--load", help="Load the result into the local image store")
    flags.text("--metadata-file", help="Write build result metadata to a file")
    flags.text("--network", help="Set the networking mode for the RUN instructions")
    flags.switch("--no-cache", help="Do not use cache when building the image")
    flags.texts("--no-cache-filter", help="Do not cache specified stages")
    flags.texts("-o", "--output", help="Output destination (type=local,dest=path)")
    flags.texts("--platform", help="Set target platform for build")
    flags.texts(
        "--policy", help="Policy configuration (filename=path[,strict=true][,log-level=debug])"
    )
    flags.text("--progress", help=f"Set type of progress output ({', '.join(PROGRESS)})")
    flags.text("--provenance", help='Shorthand for "--attest=type=provenance"')
    flags.switch("--pull", help="Always attempt to pull all referenced images")
    flags.switch("--push", help='Shorthand for "--output=type=registry"')
    flags.switch("-q", "--quiet", help="Suppress the build output and print image ID on success")
    flags.texts("--resource", help="Resources of the RUN instructions (memory=1g)")
    flags.text("--sbom", help='Shorthand for "--attest=type=sbom"')
    flags.texts("--secret", help="Secret to expose to the build (id=mysecret,src=/local/secret)")
    flags.text("--shm-size", help="Shared memory size for build containers", metavar="bytes")
    flags.texts("--ssh", help="SSH agent socket or keys to expose to the build")
    flags.texts("-t", "--tag", help='Name and optionally a tag (format: "name:tag")')
    flags.text("--target", help="Set the target build stage to build")
    flags.texts("--ulimit", help="Ulimit options", metavar="ulimit")
    _add_legacy(flags)
    flags.add_argument("context", metavar="PATH | URL | -", nargs="?")
    return flags


def _add_legacy(flags: Flags) -> None:
    """What `docker build` took before BuildKit, hidden, with what buildx does about each."""
    flags.legacy("-m", "--memory", of="legacy_resource", key="memory")
    flags.legacy("-c", "--cpu-shares", of="legacy_resource", key="cpu-shares")
    for key in ("memory-swap", "cpu-period", "cpu-quota", "cpuset-cpus", "cpuset-mems"):
        flags.legacy(f"--{key}", of="legacy_resource", key=key)
    for name in ("--compress", "--force-rm", "--rm"):
        flags.without_effect(name, value=False)
    flags.without_effect(
        "--isolation", value=True, warning="isolation flag is deprecated with BuildKit."
    )
    flags.without_effect(
        "--security-opt",
        value=True,
        warning="security-opt flag is deprecated. "
        '"RUN --security=insecure" should be used with BuildKit.',
    )
    flags.without_effect(
        "--squash",
        value=False,
        warning="experimental flag squash is removed with BuildKit. You should squash inside "
        "build using a multi-stage Dockerfile for efficiency.",
    )


def _read(argv: Sequence[str], common: Common) -> argparse.Namespace:
    """The command line. Raises `UsageError`."""
    parser = flags()
    args = parser.read(argv, common)
    if args.context is None:
        raise UsageError("'croze build' requires 1 argument", "croze build")
    if args.ulimit or args.shm_size:
        from croze.gotypes.sizes import parse_bytes
        from croze.gotypes.ulimits import parse_ulimit

        parser.check("--ulimit", args.ulimit, parse_ulimit)
        parser.check("--shm-size", [args.shm_size] if args.shm_size else [], parse_bytes)
    return args


def run(argv: Sequence[str], common: Common) -> int:
    """Build; the exit code is 0, or what a subrequest's result says."""
    from croze.cli.interrupted import Interruptible
    from croze.client.builds.metadata import NotWritten
    from croze.client.planning.checks import check_texts
    from croze.errors import CrozeError
    from croze.progress.display import make_display
    from croze.sdk.daemons import descriptions

    args = _read(argv, common)
    call = parse_call(args.call)
    mode = progress_mode(args.progress, quiet=args.quiet)
    interrupt_on_sigterm()

    build_options = options(args, call, debug=common.debug)
    check_texts(build_options)
    if args.detach:
        return _detached(argv, args, build_options, common)
    there = reaches(common, mode, os.path.abspath(args.context))
    explain = resolved(mode) in ("plain", "tty") and not call.name
    is_drawn = mode not in ("quiet", "rawjson")
    building = Interruptible()
    ending = _Told(args.quiet or args.progress == "quiet", is_drawn)
    try:
        text, tty = descriptions(there[0])
        display = make_display(mode, sys.stderr.buffer, text_desc=text, tty_desc=tty)
        warn = functools.partial(_warn, display if is_drawn else None, common)
        if len(there) > 1:
            work = _over_nodes(there, build_options, display, common, warn, building.solving)
        else:
            tell = None if call.name else ending.tell
            work = _on_one(
                there[0], build_options, display, warn, tell, building.solving, explain=explain
            )
        result = building.run(work)
    except NotWritten:
        raise
    except CrozeError as error:
        raise error.wrap("failed to build") from error
    if call.name:
        code = print_answer(call, result, dockerfile_name(args))
        if code:
            return code
        print_message(result)
    elif not ending.done:
        ending.tell(result)
    return 0


def _warn(display: Display | None, common: Common) -> None:
    """Print the warnings of a build that has been drawn, and has ended, however it did."""
    from croze.progress.warnings import print_warnings

    if display is not None:
        print_warnings(display.warnings, sys.stderr, debug=common.debug, tool=tool())


class _Told(Struct):
    """What a build has to say at its end. When that is said, nobody need wait any more."""

    quiet: bool
    shows_details: bool
    done: bool = False

    def tell(self, result: BuildResult) -> None:
        if result.missed:
            print(f"{result.missed} (croze why)", file=sys.stderr)
        if self.quiet:
            print(result.image_id)
        if self.shows_details and result.history_ref:
            print_details({"default": result.history_ref})
        print_message(result)
        self.done = True
        early.done(0)


def print_message(result: BuildResult) -> None:
    """Print what the frontend has to say to the user."""
    if message := result.response.get("frontend.result.inlinemessage"):
        print(f"\n{message}")


def _detached(
    argv: Sequence[str], args: argparse.Namespace, build_options: BuildOptions, common: Common
) -> int:
    from croze.cli import detach

    detach.check(args)
    if common.detached_pipe < 0:
        return detach.begin(argv, common)
    detach.hold(build_options, common)
    return 0


async def _on_one(
    there: Reach,
    build_options: BuildOptions,
    display: Display,
    warn: Callable[[], None],
    tell: Callable[[BuildResult], None] | None,
    solving: Callable[[], None],
    *,
    explain: bool,
) -> BuildResult:
    from croze.client.builds.build import run_build
    from croze.sdk.daemons import client_builder
    from croze.sdk.remember import remembering

    with remembering(build_options, there) as remembered:
        async with there.dial() as client:
            solving()
            try:
                result = await run_build(
                    client,
                    remembered.options,
                    display,
                    builder=client_builder(there),
                    on_status=lambda _: remembered.begin(),
                    explain=explain,
                )
            finally:
                warn()
            remembered.write()
            if tell is not None:
                tell(result)  # before connections are closed
            return result


async def _over_nodes(
    there: Sequence[Reach],
    build_options: BuildOptions,
    display: Display,
    common: Common,
    warn: Callable[[], None],
    solving: Callable[[], None],
) -> BuildResult:
    from croze.sdk.multinode import build_on_nodes

    try:
        return await build_on_nodes(there, build_options, display, common.builder, solving=solving)
    finally:
        warn()


def print_answer(call: CallMode, result: BuildResult, shown_file: str) -> int:
    """What a subrequest answered; its status becomes the exit code."""
    try:
        text, code = answer(call, result.response, shown_file=shown_file)
    except Findings as error:
        sys.stdout.write(error.text)
        raise
    sys.stdout.write(text)
    return code


def dockerfile_name(args: argparse.Namespace) -> str:
    """The Dockerfile as findings name it."""
    if args.file == "-" or (args.context == "-" and not args.file):
        return "stdin"
    return str(args.file) or os.path.normpath(os.path.join(args.context, "Dockerfile"))


def options(args: argparse.Namespace, call: CallMode, *, debug: bool = False) -> BuildOptions:
    """The flags as the client library takes them."""
    from croze.client.planning.options import BuildOptions
    from croze.policy.contract import DEBUG, INFO
    from croze.policy.options import parse_option

    return BuildOptions(
        context=args.context,
        dockerfile=args.file,
        tags=args.tag,
        target=args.target,
        build_args=args.build_arg,
        build_contexts=args.build_context,
        platforms=args.platform or default_platform(),
        labels=args.label,
        annotations=args.annotation,
        secrets=args.secret,
        ssh=args.ssh,
        no_cache=args.no_cache,
        no_cache_filter=[f for value in args.no_cache_filter for f in value.split(",")],
        pull=args.pull,
        outputs=args.output,
        push=args.push,
        load=args.load,
        cache_from=args.cache_from,
        cache_to=args.cache_to,
        add_hosts=args.add_host,
        network=args.network,
        shm_size=args.shm_size,
        ulimits=args.ulimit,
        resources=[*args.legacy_resource, *args.resource],
        cgroup_parent=args.cgroup_parent,
        allow=args.allow,
        attests=args.attest,
        provenance=args.provenance,
        sbom=args.sbom,
        policies=[parse_option(text) for text in args.policy],
        policy_log_level=DEBUG if debug else INFO,
        call=call.name,
        iidfile=args.iidfile,
        metadata_file=args.metadata_file,
        stdin=sys.stdin.buffer,
    )
