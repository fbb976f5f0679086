"""A display that makes way for something else on the terminal, and comes back after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from croze.progress.warnings import Warnings

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.progress.display import Display


class PausedDisplay:
    """Each time it comes back, it is made anew: what was drawn before stays on the terminal."""

    def __init__(self, first: Display, again: Callable[[], Display]) -> None:
        self.warnings = Warnings()
        self._again = again
        self._drawn: Display | None = first
        self._held: list[control_pb2.StatusResponse] = []

    def update(self, status: control_pb2.StatusResponse) -> None:
        self.warnings.add(status.warnings)
        if self._drawn is None:
            self._held.append(status)
        else:
            self._drawn.update(status)

    def refresh(self) -> None:
        if self._drawn is not None:
            self._drawn.refresh()

    def close(self) -> None:
        if self._drawn is not None:
            self._drawn.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What comes meanwhile is drawn afterwards."""
        self.close()
        self._drawn = None
        try:
            yield
        finally:
            self._drawn = drawn = self._again()
            for status in self._held:
                drawn.update(status)
            self._held.clear()
