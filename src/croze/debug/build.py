"""A build that a debugger looks into before it ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from croze.aio.parallel import first_error
from croze.api import gateway_pb2
from croze.client.builds.build import run_build
from croze.client.builds.result import BuildResult
from croze.client.planning.builder import BuilderTraits
from croze.client.planning.options import BuildOptions
from croze.debug import terminal
from croze.debug.commands import perform
from croze.debug.failure import outcome_of
from croze.debug.invocation import Invocation
from croze.debug.monitor import Monitor
from croze.debug.terminal import Keyboard
from croze.errors import Canceled, CrozeError
from croze.progress.errors import print_error
from croze.progress.paused import PausedDisplay
from croze.rpc.held import HeldBuild

if TYPE_CHECKING:
    from croze.client.connect import Dial
    from croze.progress.display import Display

SETTLE_S = 0.2
"""For the status of what has failed to come in, before the monitor has the terminal."""


async def build_monitored(
    options: Callable[[], BuildOptions],
    invocation: Invocation,
    *,
    dial: Dial,
    builder: BuilderTraits | None,
    display: Callable[[str, str], Display],
    descriptions: tuple[str, str] = ("", ""),
    on_end: Callable[[Display], None],
) -> BuildResult:
    """Build, and run the monitor if the build fails or if it is to run anyway; again for as long as
    the user has it reloaded; `options` are asked for each time. `display` makes a display that says
    first, as text or on a terminal, what of `descriptions` it gets, and `on_end` is called with it
    when its build has ended. Raises `CrozeError`."""
    keyboard = Keyboard()
    while True:
        shown = PausedDisplay(display(*descriptions), lambda: display("", ""))
        look = _Look(invocation, keyboard, shown)
        try:
            async with dial() as client:
                return await run_build(
                    client, options(), look.display, builder=builder, work=look.work
                )
        except CrozeError:
            if not look.reloading:
                raise
        finally:
            on_end(look.display)


class _Look:
    """What is done of one build on this side."""

    def __init__(self, invocation: Invocation, keyboard: Keyboard, display: PausedDisplay) -> None:
        self.display = display
        self.reloading = False
        self._wanted = invocation
        self._keyboard = keyboard

    async def work(self, bridge: HeldBuild) -> gateway_pb2.Result:
        result = await bridge.ask_frontend()
        failed: CrozeError | None = None
        try:
            await bridge.evaluate(result)
        except CrozeError as error:
            failed = error
        if failed is not None or self._wanted.always:
            await asyncio.sleep(SETTLE_S)
            with self.display.paused():
                await self._monitor(bridge, result, failed)
        if self.reloading:
            raise Canceled("build restarted by client")
        if failed is not None:
            raise failed
        return result

    async def _monitor(
        self, bridge: HeldBuild, result: gateway_pb2.Result, failed: CrozeError | None
    ) -> None:
        if failed is not None:
            print_error(failed, sys.stderr)
        try:
            outcome = outcome_of(result, failed)
            with terminal.raw():
                async with first_error(), asyncio.TaskGroup() as group:
                    monitor = Monitor(bridge, outcome, self._wanted, self._keyboard, group, perform)
                    self.reloading = await monitor.run()
        except CrozeError as error:
            sys.stderr.write(f"WARNING: failed to run monitor: {error}\n")
