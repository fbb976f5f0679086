"""What graphs of machines are planned as, and the work that goes on in them."""

from __future__ import annotations

from dataclasses import dataclass, field

from croze.solver.contract import InputKeying, OpContext, Result


@dataclass(frozen=True)
class Node:
    """One vertex of a plan: `inputs` are (number of an earlier one, output)."""

    inputs: tuple[tuple[int, int], ...] = ()
    add: int = 0
    kind: str = ""
    """Those of one kind do the same."""
    maps: int = 1
    by_content: frozenset[int] = frozenset()
    prepared: frozenset[int] = frozenset()
    forced: bool = False
    fails: float = 0.0
    """How often: its maps, its contents, its runs."""


@dataclass
class Work:
    """Something that goes on until a die says that it ends."""

    users: set[object] = field(default_factory=set)
    runs: bool = False
    stopping: bool = False

    def want(self, user: object) -> None:
        self.users.add(user)
        self.runs = True

    def drop(self, user: object) -> None:
        self.users.discard(user)
        self.stopping = self.runs and not self.users

    def end(self) -> None:
        self.users.clear()
        self.runs = self.stopping = False

    def keyings(self) -> tuple[InputKeying, ...]:
        raise NotImplementedError


async def no_content(result: Result, ctx: OpContext) -> str:
    raise AssertionError("asked by name")


async def no_work(result: Result, ctx: OpContext) -> None:
    raise AssertionError("asked by name")


def release(result: Result) -> None:
    """Without an event loop: a `Number` has nothing to wait for."""
    work = result.release()
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")
