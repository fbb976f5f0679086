"""`croze debug`: look into the daemon and its store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags, UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client


def run(argv: Sequence[str], common: Common) -> int:
    """`verify`: read everything that the store holds and compare it with what it should be."""
    flags = Flags("croze debug", "Look into the daemon and its store", "verify|info")
    flags.add_argument("what", metavar="verify|info", nargs="?")
    what = flags.read(argv, common).what
    if what == "verify":
        return verify(common)
    if what == "info":
        return info(common)
    raise UsageError("'croze debug' requires verify or info", "croze debug")


def verify(common: Common) -> int:
    """Print every problem; the exit code is 1 if there is any."""

    async def ask(client: Client) -> list[str]:
        from croze.client.engine import EngineClient

        return await EngineClient(client.channel).verify()

    problems = with_client(common, ask)
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


def info(common: Common) -> int:
    """Which daemon this is, and its worker."""

    async def ask(client: Client) -> str:
        version = await client.info()
        lines = [f"daemon     {version.package} {version.version}"]
        for worker in await client.workers():
            platforms = ",".join(f"{p.OS}/{p.Architecture}" for p in worker.platforms)
            lines += [f"worker     {worker.ID}", f"platforms  {platforms}"]
            lines += [f"label      {k}={v}" for k, v in sorted(worker.Labels.items())]
        return "\n".join(lines)

    print(with_client(common, ask))
    return 0
