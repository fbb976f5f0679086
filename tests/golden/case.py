"""A golden case: something to run, and what is unequal about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Check = Callable[[], list[str]]


@dataclass(frozen=True)
class Case:
    """`check` returns one line per difference, none if all is equal. It may raise."""

    kind: str
    name: str
    check: Check

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"


def run(case: Case) -> list[str]:
    """The differences of a case; a crash is one."""
    try:
        return case.check()
    except Exception as err:  # whatever goes wrong in a case is that case's result
        return [f"crashed: {type(err).__name__}: {err}", *_where(err)]


def _where(err: BaseException) -> list[str]:
    """The innermost places of a crash."""
    places: list[str] = []
    trace = err.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"  at {code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return places[-4:]
