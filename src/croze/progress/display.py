"""The displays' common face, and which of them is used.

`auto` is `tty` on a terminal and `plain` elsewhere; `BUILDKIT_PROGRESS` may say otherwise.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, BinaryIO, Protocol

from croze.errors import InvalidRequest
from croze.progress import limit
from croze.progress.after import hold_logs, release_logs
from croze.progress.warnings import Warnings

if TYPE_CHECKING:
    from croze.api import control_pb2

MODES = ("auto", "plain", "tty", "rawjson", "quiet")


class Display(Protocol):
    """Draws one build. Methods are called from one thread."""

    warnings: Warnings

    def update(self, status: control_pb2.StatusResponse) -> None:
        """Take in a piece of status; drawn at once or with the next refresh."""

    def refresh(self) -> None:
        """Draw what is held back; to be called every `limit.TICK_S`."""

    def close(self) -> None:
        """Draw the end, after which nothing may follow. Idempotent."""


def resolve_mode(mode: str, *, is_terminal: bool) -> str:
    """One of `plain`, `tty`, `rawjson`, `quiet`."""
    if mode in ("", "auto"):
        mode = os.environ.get("BUILDKIT_PROGRESS") or "auto"
    if mode not in MODES:
        raise InvalidRequest(f"invalid progress mode {mode}")
    if mode == "auto":
        return "tty" if is_terminal else "plain"
    if mode == "tty" and not is_terminal:
        raise InvalidRequest("failed to get console: provided file is not a console")
    return mode


def make_display(mode: str, out: BinaryIO, *, text_desc: str = "", tty_desc: str = "") -> Display:
    """A display that writes to `out`, usually standard error.

    `text_desc` is such as `building with "default" instance using docker driver`, `tty_desc` such
    as `docker:default`. What `croze` logs until it is closed is told of then.
    """
    return _Drawn(_display(mode, out, text_desc, tty_desc))


def _display(mode: str, out: BinaryIO, text_desc: str, tty_desc: str) -> Display:
    match resolve_mode(mode, is_terminal=out.isatty()):
        case "tty":
            from croze.progress.terminal.tty import TtyDisplay

            return TtyDisplay(out, tty_desc)
        case "plain":
            from croze.progress.plain import PlainDisplay

            return PlainDisplay(out, text_desc)
        case "rawjson":
            from croze.progress.rawjson import RawJsonDisplay

            return RawJsonDisplay(out)
        case _:
            from croze.progress.quiet import QuietDisplay

            return QuietDisplay()


class _Drawn:
    """A display in whose time logs wait."""

    def __init__(self, display: Display) -> None:
        self.warnings = display.warnings
        self._display = display
        hold_logs(self)

    def update(self, status: control_pb2.StatusResponse) -> None:
        self._display.update(status)

    def refresh(self) -> None:
        self._display.refresh()

    def close(self) -> None:
        self._display.close()
        release_logs(self)


@asynccontextmanager
async def running(display: Display) -> AsyncIterator[Display]:
    """Refreshes the display while the block runs and closes it at its end."""
    try:
        async with refreshing(display):
            yield display
    finally:
        display.close()


@asynccontextmanager
async def refreshing(display: Display) -> AsyncIterator[None]:
    """Refreshes the display while the block runs; more may follow."""
    import asyncio  # slow to import, and a display can do without

    from croze.aio.parallel import meanwhile

    async def tick() -> None:
        rate = limit.rate_from_env()
        every_s = limit.TICK_S if rate is None else max(rate, 0.01)
        while True:
            await asyncio.sleep(every_s)
            display.refresh()

    async with meanwhile() as beside:
        beside.begin(tick())
        yield
