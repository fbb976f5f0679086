"""A named piece of work inside a vertex, as a line of progress."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from croze.status import Progress


@contextlib.asynccontextmanager
async def step(progress: Progress, name: str) -> AsyncIterator[None]:
    """Started on entry, completed on exit, also of a failure."""
    started = datetime.now(UTC)
    progress.status(name, name=name, started=started)
    try:
        yield
    finally:
        progress.status(name, name=name, started=started, completed=datetime.now(UTC))
