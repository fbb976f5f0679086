"""Rounds of work, each ended by a kill or a stop of the daemon, and a look at what it left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from croze.aio.threads import in_thread
from croze.client.connect import connect
from croze.client.crozed.calls import CrozedClient
from croze.errors import CrozeError
from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.workload import DOCKERFILE, PARTS, Workload, write_context
from tests.soak.remains import below_root

LONGEST_S = 25.0
EXPECTED = ("a worker process died", "context canceled", "the worker pool is closed")
"""What builds may say whose worker was killed."""


class Killed(Workload):
    """A workload that goes on when a worker was killed below it."""

    unexpected: tuple[str, ...] = ()

    async def one(self) -> None:
        try:
            await self.chore()
            self.done += 1
        except CrozeError as error:
            if not self.daemon_is_gone and not any(text in str(error) for text in EXPECTED):
                self.unexpected += (f"a build failed: {error}",)

    async def run(self) -> None:
        async def again_and_again() -> None:
            while not self.daemon_is_gone:
                await self.one()

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(again_and_again())


class Soak:
    """`done`: how many builds and prunes came to their end."""

    def __init__(self, sandbox: Sandbox, layout: Path, host: str, chance: random.Random) -> None:
        self._sandbox = sandbox
        self._base = base(layout)[1].partition("=")[2]
        self._host = host
        self._chance = chance
        self._context, self._out = sandbox.path / "context", sandbox.path / "out"
        write_context(self._context)
        self._out.mkdir()
        self.rounds = self.done = 0

    async def until(self, end: float) -> list[str]:
        """Rounds until the monotonic clock says so. All problems."""
        problems: list[str] = []
        while time.monotonic() < end:
            found = await self._round()
            self.rounds += 1
            print(f"round {self.rounds}: {self.done} done {found or ''}", flush=True)
            problems += found
        return [*problems, *await self._emptied()]

    async def _round(self) -> list[str]:
        sandbox, chance = self._sandbox, self._chance
        sandbox.start("--file-workers=2")
        problems = await self._verified()
        if not problems:
            problems += [p for p in below_root(sandbox.root) if "/executor/" in p]
        work = Killed(
            sandbox.address,
            self._context,
            self._out,
            self._base,
            self._host,
            chance.randrange(1 << 32),
        )
        number = signal.SIGKILL if chance.random() < 0.8 else signal.SIGTERM
        async with asyncio.TaskGroup() as group:
            chores = (work.run(), self._kill_workers(), self._clients())
            tasks = [group.create_task(chore) for chore in chores]
            await asyncio.sleep(chance.uniform(0.2, LONGEST_S))
            work.daemon_is_gone = True
            for task in tasks if number == signal.SIGTERM else ():
                task.cancel()
            code = await in_thread(sandbox.stop, number)
            for task in tasks:
                task.cancel()
        if number == signal.SIGTERM and code:
            problems.append(f"the daemon ended with {code}")
        self.done += work.done
        return [*problems, *work.unexpected, *self._complaints()]

    def _complaints(self) -> list[str]:
        """What the daemon's log has that it should not have; it begins anew afterwards."""
        text = self._sandbox.log_text()
        self._sandbox.log.rename(self._sandbox.path / "last.log")
        if "Traceback" not in text:
            return []
        log_copy = self._sandbox.path / f"round{self.rounds + 1}.log"
        log_copy.write_text(text)
        return [f"a traceback in {log_copy}"]

    async def _verified(self) -> list[str]:
        async with connect(self._sandbox.address) as client:
            await client.wait_ready(30)
            return await CrozedClient(client.channel).verify()

    async def _kill_workers(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.3, 4))
            if workers := list(self._workers()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._chance.choice(workers), signal.SIGKILL)

    def _workers(self) -> Iterator[int]:
        daemon = self._sandbox.daemon
        if daemon is None:
            return
        for task in Path(f"/proc/{daemon.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for pid in task.read_text().split():
                    if b"croze.workers.inside" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        yield int(pid)

    async def _clients(self) -> None:
        """Commands that are killed while they build."""
        while True:
            text = DOCKERFILE.format(
                seed=self._chance.randrange(8),
                size=self._chance.randrange(1, 4000),
                part=self._chance.randrange(PARTS),
            )
            out = self._out / f"client{self._chance.randrange(5)}"
            words = ["build", "-f-", f"--build-context=base={self._base}"]
            words += [f"-o={out}", str(self._context)]
            process = await asyncio.create_subprocess_exec(
                str(CROZE),
                *words,
                # Named, so that who comes too late doesn't start one of its own.
                env={**self._sandbox.env, "CROZE_HOST": self._sandbox.address},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                async with asyncio.timeout(self._chance.uniform(0.1, 4)):
                    await process.communicate(text.encode())
            except TimeoutError:
                pass
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _emptied(self) -> list[str]:
        """Prune everything, and look at what is left."""
        sandbox = self._sandbox
        sandbox.start()
        problems = await self._verified()
        async with connect(sandbox.address) as client:
            async for _ in client.prune(all=True):
                pass
            records = [r for r in await client.disk_usage() if not r.Shared]
            problems += [f"still in the cache: {r.ID} {r.Description}" for r in records]
        problems += await self._verified()
        if code := await in_thread(sandbox.stop):
            problems.append(f"the daemon ended with {code}")
        return problems
