"""The OCI runtime as a program: its command lines, and what it remembers of containers."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from croze.aio.threads import in_thread
from croze.fs.remove import try_remove_tree
from croze.runtime import sweep
from croze.runtime.binary import SealedCopy, find_runtime
from croze.runtime.contract import Stdio
from croze.runtime.process import ChildProcess
from croze.runtime.terminal import ConsoleSocket

log = logging.getLogger(__name__)


class RuntimeProgram:
    """crun or runc, with its state in `root` and containers' pid files in `pids`."""

    def __init__(self, binary: str, root: Path, pids: Path, *, rootless: bool) -> None:
        """`binary` empty chooses crun, else runc."""
        self.binary = find_runtime(binary)
        self.root = root
        self.pids = pids
        self._rootless = rootless
        self._copy = SealedCopy(self.binary) if self.is_crun else None

    @property
    def is_crun(self) -> bool:
        return Path(self.binary).name == "crun"

    def command(self, log_file: Path, *args: str) -> list[str]:
        """The runtime's command line."""
        root = str(self.root)
        options = ["--root", root, "--log", str(log_file), "--log-format", "json"]
        if self._rootless and self.is_crun:
            options += ["--cgroup-manager", "disabled"]
        binary = self._copy.path if self._copy is not None else self.binary
        return [binary, *options, *args]

    def spawn(self, argv: Sequence[str], tty: bool, stdio: Stdio, folder: Path) -> ChildProcess:
        """Start the runtime, the container's id last in `argv`.

        In the foreground crun may end before it has passed on all that a terminal said; with a
        console socket we read the terminal ourselves. runc has one only for detached containers.
        """
        if not tty or not self.is_crun:
            return ChildProcess.spawn(argv, stdio, tty=tty)
        console = ConsoleSocket(folder, f"{secrets.token_hex(4)}.sock")
        options = ["--console-socket", console.name]
        return ChildProcess.spawn_with_console([*argv[:-1], *options, argv[-1]], stdio, console)

    def knows(self, id: str) -> bool:
        """Whether the runtime still has state for a container."""
        return (self.root / id).exists()

    async def delete(self, id: str) -> None:
        """Make the runtime forget a container, killing what is left of it."""
        argv = self.command(Path(os.devnull), "delete", "--force", id)
        child = ChildProcess.spawn(argv, Stdio(_ignore, _ignore), tty=False)
        try:
            await child.wait()
        finally:
            await child.close()
        if self.knows(id):
            log.debug("the runtime could not delete container %s", id)
            await in_thread(self._remove_state, id)

    def _remove_state(self, id: str) -> None:
        """What `delete` does, but for the cgroup, for what the runtime has left half made."""
        sweep.kill_init(self.pids / id)
        try_remove_tree(self.root / id)


def _ignore(_: bytes) -> None:
    """Output that nobody wants."""
