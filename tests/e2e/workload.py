"""A daemon's day, in random order: builds with RUN, COPY and cache mounts, exports of each kind,
prunes. Everything is drawn from one seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from croze.client.builds.build import run_build
from croze.client.connect import connect
from croze.client.planning.options import BuildOptions
from croze.errors import CrozeError
from croze.fs.temporary import temporary_directory
from croze.progress.quiet import QuietDisplay

DOCKERFILE = """\
FROM base AS one
RUN --mount=type=cache,target=/cache echo {seed} >> /cache/log && seq {size} > /one && rm -rf /var
FROM base AS two
COPY part{part} /src/
RUN cat /src/* > /two; rm /src/f0; mkdir /gone; rmdir /gone
FROM base
COPY --from=one /one /
COPY --from=two /two /src/ /all/
RUN --mount=type=cache,target=/cache,sharing=locked wc /one /all/two > /sum && date >> /cache/log
"""
PARTS, FILES = 3, 40


def write_context(folder: Path) -> None:
    for part in range(PARTS):
        place = folder / f"part{part}"
        place.mkdir(parents=True)
        for number in range(FILES):
            (place / f"f{number}").write_text(f"{part} {number}\n" * 50)


class Workload:
    """Works on the daemon at `address` until it is cancelled or the daemon is gone."""

    def __init__(
        self, address: str, context: Path, out: Path, base: str, registry: str, seed: int
    ) -> None:
        self._address = address
        self._context = context
        self._out = out
        self._base = base
        self._registry = registry
        self._chance = random.Random(seed)
        self.done = 0
        """How much was finished."""
        self.daemon_is_gone = False
        """Set before it is killed: what fails from then on is forgotten."""

    async def run(self) -> None:
        """Three at a time, without end."""
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(self._one_after_another())

    async def _one_after_another(self) -> None:
        while True:
            try:
                await self.chore()
                self.done += 1
            except CrozeError:
                if not self.daemon_is_gone:
                    raise
                return

    async def chore(self) -> None:
        """One thing or another."""
        chores: list[tuple[int, Callable[[], Awaitable[object]]]] = [
            (8, self.build),
            (1, self._prune),
            (1, self._prune_all),
        ]
        weights = [weight for weight, _ in chores]
        (_, chore), *_ = self._chance.choices(chores, weights)
        await chore()

    async def build(self, output: str = "") -> None:
        """One build; raises as `run_build`."""
        chance = self._chance
        text = DOCKERFILE.format(
            seed=chance.randrange(8), size=chance.randrange(1, 4000), part=chance.randrange(PARTS)
        )
        with temporary_directory("out", self._out) as out:
            options = BuildOptions(
                context=str(self._context),
                dockerfile_inline=text,
                build_contexts=[f"base={self._base}"],
                outputs=[output or self._output(out)],
                provenance="false",
            )
            async with connect(self._address) as client:
                await run_build(client, options, QuietDisplay())

    def _output(self, out: str) -> str:
        name = f"{self._registry}/app:{self._chance.randrange(5)}"
        return self._chance.choice(
            [
                f"type=oci,dest={out}/image.tar",
                f"type=local,dest={out}/files",
                f"type=image,name={name},push=true",
                f"type=image,name=app:{self._chance.randrange(5)}",
                "type=cacheonly",
            ]
        )

    async def _prune(self) -> None:
        async with connect(self._address) as client:
            async for _ in client.prune(max_used_space=8 << 20):
                pass

    async def _prune_all(self) -> None:
        async with connect(self._address) as client:
            async for _ in client.prune(all=True):
                pass
