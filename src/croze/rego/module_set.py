"""The front door: modules that belong together, compiled once and asked often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from croze.rego.builtins.library import DEPRECATED, LIBRARY, PRINT
from croze.rego.compile import names
from croze.rego.compile.compiler import compiled
from croze.rego.compile.tree import Node
from croze.rego.evaluate.machine import Machine
from croze.rego.functions import Functions, Surroundings
from croze.rego.syntax import Module
from croze.rego.unknowns import MISSING, Found, Missing, parts_of
from croze.rego.values import Value


class ModuleSet:
    """Raises `RegoError` when the modules make no sense together. `lent` are the functions that
    they have beside the library, and how many arguments each takes."""

    def __init__(self, modules: Iterable[Module], lent: Mapping[str, int] | None = None) -> None:
        arities = {name: each.arity for name, each in LIBRARY.items()} | dict(lent or {})
        gone = dict.fromkeys(DEPRECATED, names.DEPRECATED)
        known = {**arities, **gone, PRINT: names.ANY_NUMBER}
        self._root: Node = compiled(modules, known)

    def evaluate(
        self,
        document: str,
        input: Value | Missing = MISSING,
        *,
        unknown: Iterable[str] = (),
        functions: Functions | None = None,
        surroundings: Surroundings | None = None,
    ) -> Found | Missing:
        """What stands at `document`, such as `data.docker.decision`.

        `unknown` are parts of the input that nobody knows; the answer is `Unknown` when it depends
        on one of them. `functions` are those that were said to be lent. Raises `EvaluationError`.
        """
        world = surroundings or Surroundings()
        machine = Machine(
            self._root, {**LIBRARY, **(functions or {})}, world, input, parts_of(unknown)
        )
        return machine.document(document)
