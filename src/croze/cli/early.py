"""Tells the caller the exit code before the command has put everything away.

When a build is done and all is printed, connections are still to be closed, which takes as long as
a part of a cached build. Nobody need wait for that where the caller is another process than the one
that runs the command (`croze.cli.warm.child`).
"""

from __future__ import annotations

from collections.abc import Callable

_tell: Callable[[int], None] | None = None


def on_done(tell: Callable[[int], None]) -> None:
    """Set what is to be told the exit code of this process's command."""
    global _tell
    _tell = tell


def done(code: int) -> None:
    """Tell the exit code: nothing of what the command is there for is left to do, and nothing will
    be printed."""
    if _tell is not None:
        from croze.cli.guard import finished

        _tell(finished(code))
