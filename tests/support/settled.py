"""What fuzzers ask of code that may refuse what it is given.

It never ends in anything but an answer or a refusal, an error of ours that says why; and the same
question has the same end when it is asked again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from croze.errors import CrozeError

T = TypeVar("T")


@dataclass(frozen=True)
class Refusal:
    """An error's type, and what it says."""

    kind: type[CrozeError]
    text: str

    @classmethod
    def of(cls, error: CrozeError) -> Refusal:
        text = str(error)
        assert text.strip(), f"{error!r} says nothing"
        return cls(type(error), text)


def attempt(work: Callable[[], T]) -> T | Refusal:
    """The answer, or why there is none."""
    try:
        return work()
    except CrozeError as error:
        return Refusal.of(error)


def settled(work: Callable[[], T]) -> T | Refusal:
    """The same, which must be so twice. Answers are compared by `==`."""
    first = attempt(work)
    again = attempt(work)
    assert again == first
    return first


async def settled_later(work: Callable[[], Awaitable[T]]) -> T | Refusal:
    """The same of what is awaited."""
    ends: list[T | Refusal] = []
    for _ in range(2):
        try:
            ends.append(await work())
        except CrozeError as error:
            ends.append(Refusal.of(error))
    assert ends[0] == ends[1]
    return ends[0]
