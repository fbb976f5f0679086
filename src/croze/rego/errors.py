"""What may be wrong with a policy, in OPA's words."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from croze.errors import InvalidRequest


class Location(Struct, frozen=True):
    """A place in a module, counted from 1; `line` is its text, for messages."""

    file: str
    row: int
    col: int
    line: str = ""
    """The text of the row."""

    def __str__(self) -> str:
        return f"{self.file}:{self.row}"


class RegoError(InvalidRequest):
    """A policy can't be read or doesn't make sense; several errors are told at once."""

    def __init__(self, *messages: str) -> None:
        if len(messages) == 1:
            super().__init__(f"1 error occurred: {messages[0]}")
        else:
            super().__init__("\n".join((f"{len(messages)} errors occurred:", *messages)))
        self.messages = messages

    def __reduce__(self) -> tuple[type[RegoError], tuple[str, ...]]:
        return RegoError, self.messages


class Problem(Exception):
    """One thing that is wrong, and where."""

    def __init__(self, code: str, message: str, at: Location, *, excerpt: bool = False) -> None:
        """`code` is OPA's, such as `rego_type_error`. With `excerpt` the text shows the line."""
        super().__init__(code, message, at, excerpt)
        self.code, self.message, self.at, self.excerpt = code, message, at, excerpt

    def __str__(self) -> str:
        text = f"{self.at}: {self.code}: {self.message}"
        if not self.excerpt:
            return text
        line = self.at.line.lstrip("\t ")
        indent = len(self.at.line) - len(line)
        return f"{text}\n\t{line}\n\t{' ' * max(0, self.at.col - 1 - indent)}^"


PARSE, COMPILE, TYPE = "rego_parse_error", "rego_compile_error", "rego_type_error"
UNSAFE, RECURSION = "rego_unsafe_var_error", "rego_recursion_error"


class EvaluationError(InvalidRequest):
    """An evaluation has no answer: rules contradict each other."""


class FunctionError(Exception):
    """A built-in function has no value for these arguments: it is undefined."""


MOST_TOLD = 10


def raise_all(problems: Sequence[Problem]) -> None:
    """Raise the problems together as a `RegoError`, if there are any."""
    lines = [str(each) for each in problems[:MOST_TOLD]]
    if len(problems) > MOST_TOLD:
        lines.append(f"{COMPILE}: error limit reached")
    if lines:
        raise RegoError(*lines)
