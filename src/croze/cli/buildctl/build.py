"""`buildctl build`: a definition from standard input, or what a frontend makes of options."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from croze.cli.buildctl.cache_metrics import CacheMetrics
from croze.cli.buildctl.connection import ConnectionSettings
from croze.cli.buildctl.flags import ConnectionFlags
from croze.cli.common import UsageError
from croze.cli.definition import definition_build
from croze.cli.guard import interrupt_on_sigterm
from croze.cli.interrupted import Interruptible
from croze.client.builds import llb
from croze.client.builds.metadata import written
from croze.client.builds.result import decoded_metadata
from croze.client.flags.cache import parse_caches
from croze.client.flags.output import OutputFlag, parse_output
from croze.client.flags.tls import parse_tls_contexts
from croze.errors import InvalidRequest
from croze.files.atomic import file_named, write_atomically
from croze.gotypes import gojson
from croze.gotypes.quote import quote
from croze.identity import new_id

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.client.plan import SolvePlan

COMMAND = "buildctl build"
PROGRESS = ("auto", "plain", "tty", "rawjson", "quiet")
_PROPAGATED = ("SOURCE_DATE_EPOCH",)
_ANSWER = "result.txt"


def _flags() -> ConnectionFlags:
    flags = ConnectionFlags(COMMAND, "build", "[options] < DEFINITION")
    flags.texts("--allow", help="Allow extra privileged entitlement")
    flags.text(
        "--debug-json-cache-metrics",
        help="Write as JSON what was cached: a file, stdout or stderr",
    )
    flags.texts("--export-cache", help="Export build cache")
    flags.text("--frontend", help="Define frontend used for build")
    flags.texts("--import-cache", help="Import build cache")
    flags.texts("--local", help="Allow build access to the local directory")
    flags.text("--metadata-file", help="Output build metadata to a file as JSON")
    flags.switch("--no-cache", help="Disable cache for all the vertices")
    flags.texts("--oci-layout", help="Allow build access to the local OCI layout")
    flags.texts("--opt", help="Define custom options for frontend")
    flags.texts("-o", "--output", help="Define exports for build result")
    flags.text("--progress", help=f"Set type of progress ({', '.join(PROGRESS)})", default="auto")
    flags.switch("--proxy-network", help="Enable HTTP proxy network for build operations")
    flags.text("--ref-file", help="Write build ref to a file")
    flags.texts(
        "--registry-auth-tlscontext", help="TLS for the server that gives a registry's tokens"
    )
    flags.texts("--secret", help="Secret value exposed to the build")
    flags.text("--source-policy-file", help="Read source policy file from a JSON file")
    flags.texts("--ssh", help="Allow forwarding SSH agent to the builder")
    flags.text("--trace", help="Path to trace file")
    return flags


def run(name: str, argv: Sequence[str], connection: ConnectionSettings) -> int:
    read, connection = _flags().take(argv, connection)
    if read.progress not in PROGRESS:
        raise UsageError(f"invalid progress mode {read.progress}", COMMAND)
    plan = _plan(read)
    interrupt_on_sigterm()
    try:
        with closing(CacheMetrics(read.debug_json_cache_metrics)) as metrics:
            response = Interruptible(is_solving=True).run(_build(plan, read, connection, metrics))
            if "requestid" in plan.frontend_attrs:
                _print_answer(response)
    finally:
        plan.close()
        if read.ref_file:
            write_atomically(file_named(read.ref_file), plan.ref.encode())
    return 0


def _plan(args: argparse.Namespace) -> SolvePlan:
    frontend = str(args.frontend)
    if not frontend and stat.S_ISCHR(os.fstat(sys.stdin.fileno()).st_mode):
        raise InvalidRequest("please specify --frontend or pipe LLB definition to stdin")
    request = definition_build(
        args,
        b"" if frontend else sys.stdin.buffer.read(),
        [_output(text) for text in args.output],
        raw_ssh=True,
    )
    if not frontend and not request.definition:
        raise InvalidRequest("empty definition sent to build. Specify --frontend instead?")
    plan = llb.make_plan(request, has_frontend=bool(frontend))
    plan.ref = new_id()
    plan.frontend = frontend
    plan.frontend_attrs = _options(args.opt)
    if frontend and args.no_cache:
        plan.frontend_attrs["no-cache"] = ""
    if "requestid" in plan.frontend_attrs:
        caps = "moby.buildkit.frontend.subrequests"
        plan.frontend_attrs.setdefault("frontend.caps", caps)
    plan.token_tls = parse_tls_contexts(args.registry_auth_tlscontext)
    plan.cache_to = parse_caches(args.export_cache)
    plan.cache_from = parse_caches(args.import_cache)
    return plan


def _output(text: str) -> OutputFlag:
    """An output as buildctl reads it: an archive without a destination goes to standard output."""
    output = parse_output(text)
    if not text.startswith("type=") and output.type in ("local", "tar") and "=" not in text:
        raise InvalidRequest(f"invalid value {quote(text)}: expected key=value")
    if output.type == "docker" and not output.dest and output.attrs.get("tar") != "false":
        return OutputFlag(output.type, "-", output.attrs)
    return output


def _options(texts: Sequence[str]) -> dict[str, str]:
    """A build argument without a value takes it from the environment, if that has one."""
    options = {f"build-arg:{n}": os.environ[n] for n in _PROPAGATED if n in os.environ}
    for text in texts:
        key, equals, value = text.partition("=")
        name = key.removeprefix("build-arg:")
        if not equals and name != key and name:
            if name in os.environ:
                options[key] = os.environ[name]
            continue
        if not equals:
            raise InvalidRequest(f"invalid opt: invalid value {text}")
        options[key] = value
    return options


async def _build(
    plan: SolvePlan, args: argparse.Namespace, connection: ConnectionSettings, metrics: CacheMetrics
) -> dict[str, str]:
    from croze.progress.display import make_display, running
    from croze.progress.rawjson import RawJsonDisplay

    display = make_display(args.progress, sys.stderr.buffer)
    with ExitStack() as files:
        trace: RawJsonDisplay | None = None
        if args.trace:
            flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY
            file = os.fdopen(os.open(args.trace, flags, 0o600), "ab")
            trace = RawJsonDisplay(files.enter_context(file))

        def show(status: control_pb2.StatusResponse) -> None:
            display.update(status)
            metrics.update(status)
            if trace is not None:
                trace.update(status)

        async with connection.client() as client, running(display):
            response = (await client.solve(plan, show)).exporter_response
    if args.metadata_file:
        data = gojson.marshal_indent_as_is(decoded_metadata(response))
        with written(args.metadata_file, "metadata file"):
            write_atomically(file_named(args.metadata_file), data)
    return response


def _print_answer(response: dict[str, str]) -> None:
    if _ANSWER in response:
        sys.stdout.write(response[_ANSWER])
        return
    for key, value in sorted(response.items()):
        if key.startswith("result."):
            print(f"{key}\n{value}")
