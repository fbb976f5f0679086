"""The front door: modules that belong together, compiled once and asked often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from croze.rego.builtins.library import DEPRECATED, LIBRARY, PRINT
from croze.rego.check.signatures import signature
from croze.rego.compile.compiler import Builtins, compiled
from croze.rego.evaluate.machine import Machine
from croze.rego.functions import Functions, RegoSurroundings
from croze.rego.syntax import Module
from croze.rego.tree import RuleNode
from croze.rego.unknowns import MISSING, Found, Missing, parts_of
from croze.rego.values import Value


class ModuleSet:
    """Modules that are compiled together. `lent` are the functions that they have beside the
    library, and their signatures (`check/signatures.py`). Raises `RegoError` when the modules make
    no sense together."""

    def __init__(self, modules: Iterable[Module], lent: Mapping[str, str] | None = None) -> None:
        types = {name: signature(each) for name, each in (lent or {}).items()}
        names = {*LIBRARY, *DEPRECATED, *types, PRINT}
        self._root: RuleNode = compiled(modules, Builtins(names, types, DEPRECATED))

    def evaluate(
        self,
        document: str,
        input: Value | Missing = MISSING,
        *,
        unknown: Iterable[str] = (),
        functions: Functions | None = None,
        surroundings: RegoSurroundings | None = None,
    ) -> Found | Missing:
        """What stands at `document`, such as `data.docker.decision`.

        `unknown` are parts of the input that nobody knows; the answer is `Unknown` when it depends
        on one of them. `functions` are those that were said to be lent. Raises `EvaluationError`.
        """
        world = surroundings or RegoSurroundings()
        machine = Machine(
            self._root, {**LIBRARY, **(functions or {})}, world, input, parts_of(unknown)
        )
        return machine.document(document)
