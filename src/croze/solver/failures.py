"""One failure, told to many builds."""

from __future__ import annotations

from typing import TypeVar

from croze.errors import CrozeError

E = TypeVar("E", bound=CrozeError)


def fresh_copy(error: E) -> E:
    """An equal error with its own details and traceback: each build adds to its own."""
    copy = type(error).__new__(type(error))
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    copy.details = list(error.details)
    copy.__cause__ = error.__cause__
    return copy
