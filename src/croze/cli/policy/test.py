"""`croze policy test`: run the `test_…` rules in `…_test.rego` files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.common import UsageError
from croze.cli.daemon import dialler
from croze.cli.flags import Flags

if TYPE_CHECKING:
    from croze.cli.common import Common


def flags() -> Flags:
    flags = Flags("croze policy test", "Run policy tests", "[OPTIONS] <path>")
    flags.text("--filename", help="Name of the Dockerfile to validate", default="Dockerfile")
    flags.text("--run", help="Run only tests with name containing this substring")
    flags.add_argument("path", metavar="path", nargs="?")
    return flags


def run(argv: Sequence[str], common: Common) -> int:
    """Run the tests; the exit code is 1 if one fails."""
    from croze.client.decisions.commands import test

    args = flags().read(argv, common)
    if args.path is None:
        raise UsageError("'croze policy test' requires 1 argument", "croze policy test")
    report = asyncio.run(test(lambda: dialler(common)(), args.path, args.filename, args.run))
    for result in report.results:
        for line in result.lines():
            print(line)
    return 1 if report.failed else 0
