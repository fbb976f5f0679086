"""Who calls the warm process, as the child that runs the command sees it.

The start of `croze` is either that in Python (`thin_caller`), which connects to a socket, or that
in bash (`shell_caller`), which has FIFOs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from croze.cli.warm.request import WarmRequest


class WarmCaller(Protocol):
    """The process that was started, and waits for the exit code."""

    def request(self, ours: bytes) -> WarmRequest:
        """What it wants run. `ours` are this process's surroundings (`croze.cli.surroundings`).

        Raises `BadRequest` for a caller that is of another user or in another place, or whose
        command would not be the same here, and `OSError` for one that may not be looked into or
        has gone.
        """

    def has_terminal(self) -> bool:
        """Whether it is of a terminal. Raises `OSError` when it has gone."""

    def take_on(self) -> None:
        """Tell it that this process runs its command, which it doesn't do itself from now on.
        Raises `BadRequest` if it does so already, and `OSError` if it has gone."""

    def fileno(self) -> int:
        """What is readable when `signals` has an answer."""

    def signals(self) -> Iterable[int] | None:
        """The signals that it has got for the command; None when it has gone. Raises `OSError`."""

    def tell(self, code: int) -> None:
        """Tell it the command's exit code. Raises `OSError` if it has gone."""
