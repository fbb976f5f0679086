"""`croze policy eval`: what a policy says of a source, or what it would get to see."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croze.cli.common import UsageError
from croze.cli.daemon import with_client
from croze.cli.flags import Flags

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client
    from croze.policy.contract import PolicyFile

_STDIN = "-"


def flags() -> Flags:
    flags = Flags("croze policy eval", "Evaluate policy for a source", "[OPTIONS] source")
    flags.slices("--fields", help="Fields to evaluate")
    flags.text("-f", "--file", help="Policy filename to evaluate", default="Dockerfile")
    flags.alias("--filename", of="file")
    flags.text("--platform", help="Target platform for policy evaluation")
    flags.switch("--print", help="Print policy output")
    flags.add_argument("source", metavar="source", nargs="?")
    return flags


def run(argv: Sequence[str], common: Common) -> int:
    from croze.client.decisions.commands import evaluate, input_of, source_of

    args = flags().read(argv, common)
    if args.source is None:
        raise UsageError("'croze policy eval' requires 1 argument", "croze policy eval")
    source = source_of(args.source)

    async def show(client: Client) -> None:
        document = await input_of(client, source, args.platform, args.fields)
        if document.invalid:
            print(f"WARNING: invalid fields: {', '.join(document.invalid)}", file=sys.stderr)
        if document.unresolved:
            print(f"INFO: unresolved fields: {', '.join(document.unresolved)}", file=sys.stderr)
        print(document.text)

    async def check(client: Client) -> None:
        policy = _policy(args.file)
        shown = "stdin" if args.file == _STDIN else Path(args.file).name

        def log(level: int, message: str) -> None:
            if common.debug:
                print(f"DEBUG: {message}", file=sys.stderr)

        await evaluate(client, source, args.platform, policy, shown, log)

    with_client(common, show if args.print else check)
    return 0


def _policy(name: str) -> PolicyFile:
    from croze.errors import InvalidRequest, os_reason
    from croze.policy.contract import PolicyFile

    if not name:
        raise InvalidRequest("filename is required")
    path = name if name == _STDIN else f"{name}.rego"
    try:
        data = sys.stdin.buffer.read() if name == _STDIN else Path(path).read_bytes()
    except OSError as error:
        reason = os_reason(error)
        raise InvalidRequest(f"failed to read policy file {path}: open {path}: {reason}") from None
    return PolicyFile(Path(path).name, data.decode(errors="replace"))
