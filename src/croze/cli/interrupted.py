"""What a command says that its user has interrupted: where it was, as buildx does."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")


CANCELED = "Canceled: context canceled"


def run(work: Coroutine[None, None, T], doing: str = "") -> T:
    """Run the work as `interrupts.run` does. Raises `Canceled` if it was interrupted, with what the
    command was doing."""
    from croze.aio import interrupts
    from croze.errors import Canceled

    try:
        return interrupts.run(work)
    except KeyboardInterrupt:
        raise Canceled(f"{doing}: {CANCELED}" if doing else CANCELED) from None


class Interruptible(Struct):
    """Builds, which cannot be solved before their daemons have answered."""

    first_target: str = ""
    work: str = "failed to solve"
    is_solving: bool = False

    def solving(self) -> None:
        """The daemons are there."""
        self.is_solving = True

    def run(self, work: Coroutine[None, None, T]) -> T:
        """Run the work as `interrupts.run` does. Raises `Canceled` if it was interrupted: all
        targets end, and it is told of the first."""
        from croze.errors import Canceled

        try:
            return run(work)
        except Canceled as interruption:
            error = interruption
        if self.is_solving:
            error = error.wrap(self.work)
            if self.first_target:
                error = error.wrap(f"target {self.first_target}")
        raise error
