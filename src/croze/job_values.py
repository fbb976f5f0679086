"""What a build's job carries for those who work for it, under typed keys.

    TRACE: Final = JobKey[BuildTrace]("trace")

    values.set(TRACE, trace)
    values.get(TRACE)  # BuildTrace | None

A `contextvars.Context` is what Python has for a map whose values are of their keys' types; these
ones have nothing to do with the context that code runs in.
"""

from __future__ import annotations

from contextvars import Context, ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")


class JobKey(Generic[T]):
    """Names a value of type T. To be made once, in a module: two of one name are two keys."""

    __slots__ = ("variable",)

    def __init__(self, name: str) -> None:
        self.variable: ContextVar[T] = ContextVar(name)

    def __repr__(self) -> str:
        return f"JobKey({self.variable.name!r})"


class JobValues:
    """What one job carries."""

    __slots__ = ("_context",)

    def __init__(self) -> None:
        self._context = Context()

    def set(self, key: JobKey[T], value: T) -> None:
        self._context.run(key.variable.set, value)

    def get(self, key: JobKey[T]) -> T | None:
        return self._context.get(key.variable)

    def of(self, key: JobKey[T]) -> tuple[T, ...]:
        """The value as a tuple of one, or of none: as several jobs together have several."""
        return (self._context[key.variable],) if key.variable in self._context else ()
