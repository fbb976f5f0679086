"""What is logged while a display draws: a line between its own would spoil it, so it is told of
after it, as buildx does."""

from __future__ import annotations

import logging
from typing import TextIO

_drawing: list[object] = []


class LogsAfter(logging.StreamHandler[TextIO]):
    """Log records on standard error, those of a display's time after its end."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if _drawing:
            self._held.append(record)
        else:
            super().emit(record)

    def tell(self) -> None:
        """Write what was held back."""
        held, self._held = self._held, []
        for record in held:
            self.handle(record)


def hold_logs(drawer: object) -> None:
    """Hold logs back until they are released for this drawer, too."""
    _drawing.append(drawer)


def release_logs(drawer: object) -> None:
    """Write what was held back, if nothing draws any more. Idempotent."""
    if drawer in _drawing:
        _drawing.remove(drawer)
        if not _drawing:
            tell_logs()


def tell_logs() -> None:
    """Write what was held back, even of displays that nobody has closed."""
    _drawing.clear()
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogsAfter):
            handler.tell()
