"""Evaluations that ask in between: run again until all that they want to know is known."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from random import SystemRandom

from croze.errors import CrozeError
from croze.policy.builtins import Answers, CustomBuiltins, EvaluationNotes, NotKnown
from croze.policy.contract import INFO, Question, Say
from croze.policy.documents.document import InputDocument
from croze.rego.errors import Location
from croze.rego.functions import RegoSurroundings
from croze.rego.module_set import ModuleSet
from croze.rego.unknowns import MISSING, Found, Missing
from croze.rego.values import from_plain

Ask = Callable[[Question], Awaitable[object]]
"""Raises the `CrozeError` that is the answer."""


class Inquiry:
    """What one evaluation, or several, have learnt, and what they have to say."""

    def __init__(self, ask: Ask, *, logs: bool = True) -> None:
        self.ask = ask
        self.answers: Answers = {}
        self._said: list[Say] = []
        on_print = self._print if logs else None
        self._world = RegoSurroundings(time.time_ns(), on_print, SystemRandom().randrange)

    def log(self, level: int, message: str) -> None:
        self._said.append(Say(level, message))

    def _print(self, at: Location, text: str) -> None:
        self.log(INFO, f"{at}: {text}")

    async def flush(self) -> None:
        """Say what there is to say, to the log."""
        messages, self._said = self._said, []
        for each in messages:
            await self.ask(each)

    async def evaluate(
        self,
        modules: Callable[[], ModuleSet],
        name: str,
        document: InputDocument,
        plain: dict[str, object] | None,
        unknown: Iterable[str] = (),
    ) -> tuple[Found | Missing, EvaluationNotes]:
        """What stands at `name`, and what functions said on the side. `modules` may raise
        `NotKnown`."""
        builtins = CustomBuiltins(document, plain or {}, self.answers)
        names = list(unknown)
        while True:
            mark = len(self._said)
            builtins.notes = EvaluationNotes()
            try:
                value = modules().evaluate(
                    name,
                    MISSING if plain is None else from_plain(plain),
                    unknown=names,
                    functions=builtins.functions(),
                    surroundings=self._world,
                )
            except NotKnown as wanted:
                del self._said[mark:]
                self.answers[wanted.question] = await self._answer(wanted.question)
            else:
                return value, builtins.notes

    async def _answer(self, question: Question) -> object:
        try:
            return await self.ask(question)
        except CrozeError as error:
            return error
