"""The quiet display: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.progress import warnings

if TYPE_CHECKING:
    from croze.api import control_pb2


class QuietDisplay:
    """Draws nothing, and keeps the warnings."""

    def __init__(self) -> None:
        self.warnings = warnings.Warnings()

    def update(self, status: control_pb2.StatusResponse) -> None:
        self.warnings.add(status.warnings)

    def refresh(self) -> None: ...

    def close(self) -> None: ...
