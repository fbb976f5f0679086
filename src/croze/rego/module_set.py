"""The front door: modules that belong together, compiled once and asked often."""

from __future__ import annotations

from collections.abc import Iterable

from croze.rego.builtins.library import DEPRECATED, LIBRARY, PRINT
from croze.rego.compile import names
from croze.rego.compile.compiler import compiled
from croze.rego.compile.tree import Node
from croze.rego.evaluate.machine import Machine
from croze.rego.functions import Function, Functions, Surroundings
from croze.rego.syntax import Module
from croze.rego.unknowns import MISSING, Found, Missing, parts_of
from croze.rego.values import Value


class ModuleSet:
    """Raises `RegoError` when the modules make no sense together. `functions` are what is lent to
    them beside the library."""

    def __init__(self, modules: Iterable[Module], functions: Functions | None = None) -> None:
        self._functions: dict[str, Function] = {**LIBRARY, **(functions or {})}
        arities = {name: each.arity for name, each in self._functions.items()}
        gone = dict.fromkeys(DEPRECATED, names.DEPRECATED)
        known = {**arities, **gone, PRINT: names.ANY_NUMBER}
        self._root: Node = compiled(modules, known)

    def evaluate(
        self,
        document: str,
        input: Value | Missing = MISSING,
        *,
        unknown: Iterable[str] = (),
        surroundings: Surroundings | None = None,
    ) -> Found | Missing:
        """What stands at `document`, such as `data.docker.decision`.

        `unknown` are parts of the input that nobody knows; the answer is `Unknown` when it depends
        on one of them. Raises `EvaluationError`.
        """
        world = surroundings or Surroundings()
        machine = Machine(self._root, self._functions, world, input, parts_of(unknown))
        return machine.document(document)
