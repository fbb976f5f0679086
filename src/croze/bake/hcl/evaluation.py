"""What the parts of the evaluator need of the whole."""

from __future__ import annotations

from typing import Protocol

from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import Diagnostic, SourceRange
from croze.bake.hcl.syntax import Expression
from croze.bake.values.value import Value


class Evaluation(Protocol):
    """What the parts of the evaluator share: where problems go, and how to get at the value of a
    subexpression."""

    problems: list[Diagnostic]

    def error(self, summary: str, detail: str, subject: SourceRange) -> Value:
        """Tell of a problem; returns the unknown value that stands for the missing one."""
        ...

    def evaluate(self, node: Expression, scope: Scope) -> Value:
        """The value of `node` with the variables and functions of `scope`; unknown after an
        error."""
