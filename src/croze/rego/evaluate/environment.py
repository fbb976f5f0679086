"""Variables and what has been assumed on the way to a solution."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from croze.rego.unknowns import Found, Unknown


class Environment:
    """The variables of one rule or call. Each binding is taken back when its solutions have been
    gone through."""

    __slots__ = ("assumed", "values")

    def __init__(self) -> None:
        self.values: dict[str, Found] = {}
        self.assumed: list[Unknown] = []
        """What has to turn out right for the solution to be one."""

    @contextmanager
    def bound(self, name: str, value: Found) -> Iterator[None]:
        self.values[name] = value
        try:
            yield
        finally:
            del self.values[name]

    @contextmanager
    def assuming(self, unknown: Unknown) -> Iterator[None]:
        self.assumed.append(unknown)
        try:
            yield
        finally:
            self.assumed.pop()

    def since(self, mark: int) -> frozenset[str]:
        """The assumptions that were made since there were `mark` of them."""
        return frozenset(ref for each in self.assumed[mark:] for ref in each.refs)
