"""The one display of all that a call of `croze bake` does: reading, then building."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.drivers.reach import Reach
    from croze.progress.display import Display


class BakeProgress:
    """A display that is there when it is needed, and ends before other things are printed."""

    def __init__(self, mode: str, there: Reach | None) -> None:
        """`there`: the builder that is used, if one is."""
        self.mode = mode
        self._there = there
        self._display: Display | None = None

    @property
    def display(self) -> Display:
        if self._display is None:
            from croze.progress.display import make_display
            from croze.sdk.daemons import descriptions

            text, terminal = descriptions(self._there)
            self._display = make_display(
                self.mode, sys.stderr.buffer, text_desc=text, tty_desc=terminal
            )
        return self._display

    def show(self, status: control_pb2.StatusResponse) -> None:
        self.display.update(status)

    def close(self) -> None:
        """End the display, if there is one; what is shown later has one of its own."""
        display, self._display = self._display, None
        if display is not None:
            display.close()
