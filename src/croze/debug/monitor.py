"""The monitor: a container's terminal, and a console behind it; Ctrl-a c changes between the two.

Source: buildx `monitor/monitor.go` and `util/ioset/mux.go`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

from croze.debug import terminal
from croze.debug.failure import BuildOutcome
from croze.debug.invocation import Invocation
from croze.debug.line import LineEditor
from croze.debug.processes import DebugProcesses, Running
from croze.debug.terminal import Keyboard, say
from croze.errors import CrozeError
from croze.rpc.held import HeldBuild

PROMPT = "(buildx) "
LAUNCHING = "Launching interactive container. Press Ctrl-a-c to switch to monitor console\n"
RESTARTED = (
    'Interactive container was restarted with process "{}". '
    "Press Ctrl-a-c to switch to the new container\n"
)
SWITCHED = "Switched IO\n"
NOT_ATTACHED = (
    'Process isn\'t attached (previous "exec" exited?). Use "attach" for attaching or "rollback" '
    'or "exec" for running new one.\n'
)


class Monitor:
    """One look at one build. `group` is what its processes' tasks are of; `perform` does what a
    line of the console says (`debug.commands`)."""

    def __init__(
        self,
        bridge: HeldBuild,
        outcome: BuildOutcome | None,
        invocation: Invocation,
        keyboard: Keyboard,
        group: asyncio.TaskGroup,
        perform: Callable[[Monitor, str], None],
    ) -> None:
        self.invocation = invocation
        self.processes = DebugProcesses(bridge, outcome, self._ended, group)
        self.reloading = False
        self._keyboard = keyboard
        self._editor = LineEditor(PROMPT, say)
        self._attached: Running | None = None
        self._at_console = False
        self._after_prefix = False
        self._over = False
        self._perform = perform
        self._told = asyncio.Event()

    async def run(self) -> bool:
        """Serve the user until they have had enough; whether the build is to be done again."""
        self.invocation.initial = False
        say(LAUNCHING)
        first = self.rollback(self.invocation)
        say(RESTARTED.format(first.id))
        self.attach(first)
        try:
            with self._resizing():
                await self._serve()
        finally:
            self._attached = None
            self._over = True
            await self.processes.close()
        return self.reloading

    async def _serve(self) -> None:
        while not self._over:
            data = await self._keyboard.read()
            if not data:
                await self._ended_input()
                return
            for byte in data:
                self._key(bytes([byte]))
                if self._over:
                    return
            if self._attached is not None:
                await self._attached.process.room()

    async def _ended_input(self) -> None:
        """Let what runs see that no more input comes, and wait until it has ended."""
        if self._attached is not None:
            self._attached.process.end_input()
        while self._attached is not None:
            self._told.clear()
            await self._told.wait()

    # What the console's commands do.

    def rollback(self, invocation: Invocation) -> Running:
        """Run something in a container anew; it is yet to be attached to."""
        return self.processes.start(invocation.or_shell(), self._written, anew=True)

    def execute(self, invocation: Invocation) -> Running:
        """Run something in the container that there is; it is yet to be attached to."""
        return self.processes.start(invocation, self._written, anew=False)

    def attach(self, running: Running) -> None:
        self._attached = running
        self._resize()
        self._to_container()

    def reload(self) -> None:
        self.reloading = self._over = True

    def is_attached(self, running: Running) -> bool:
        return running is self._attached

    # Who has the terminal.

    def _written(self, id: str, fd: int, data: bytes) -> None:
        """What comes while the console has the terminal is not shown, as in buildx."""
        if not self._at_console and self._attached is not None and self._attached.id == id:
            terminal.show(data, fd)

    def _ended(self, running: Running, failed: CrozeError | None) -> None:
        if self._over:
            return
        if failed is not None:
            sys.stderr.write(f"ERROR: invoke: {failed}\n")
            sys.stderr.flush()
        if running is self._attached:
            self._attached = None
            self._told.set()
            if not self._at_console:
                self._toggle()

    def _key(self, byte: bytes) -> None:
        if byte == b"\x01":
            self._after_prefix = True
            return
        after_prefix, self._after_prefix = self._after_prefix, False
        if after_prefix and byte == b"c":
            self._toggle()
        elif self._at_console:
            self._console_key(byte)
        elif self._attached is not None:
            self._attached.process.write(byte)

    def _toggle(self) -> None:
        was_at_console = self._at_console
        if was_at_console and self._attached is not None:
            self._to_container()
            self._attached.process.write(b"\n")  # for a prompt anew
            return
        self._at_console = True
        say(NOT_ATTACHED if was_at_console else SWITCHED)
        self._editor.begin()

    def _to_container(self) -> None:
        if self._at_console:
            self._at_console = False
            say(SWITCHED)

    def _console_key(self, byte: bytes) -> None:
        try:
            line = self._editor.typed(byte)
            if line is None:
                return
            self._perform(self, line)
        except EOFError:
            self._over = True
        if self._at_console and not self._over:
            self._editor.begin()

    # The terminal's size.

    @contextlib.contextmanager
    def _resizing(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._resize)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)

    def _resize(self) -> None:
        size = terminal.size()
        if self._attached is not None and self._attached.invocation.tty and size is not None:
            self._attached.process.resize(*size)
