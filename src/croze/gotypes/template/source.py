"""What all evaluations of one text share: its templates, and where they print."""

from __future__ import annotations

from collections.abc import Mapping

from croze.gotypes.template.functions import TemplateFunction
from croze.gotypes.template.lexer import TemplateError
from croze.gotypes.template.nodes import Node
from croze.gotypes.template.parser import Trees

MOST_CHARACTERS = 64 * 1024 * 1024


class TemplateOutput:
    """What is printed so far, in pieces."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._length = 0

    def add(self, text: str) -> None:
        """Print more. Raises `TemplateError` when it is too much."""
        self._length += len(text)
        if self._length > MOST_CHARACTERS:
            raise TemplateError("template: the result is too long")
        self.pieces.append(text)


class TemplateSource:
    """A text, the templates in it by name, and the functions that they may call."""

    def __init__(
        self,
        text: str,
        trees: Trees,
        functions: Mapping[str, TemplateFunction],
        out: TemplateOutput,
    ) -> None:
        self.text = text
        self.trees = trees
        self.functions = functions
        self.out = out

    def place(self, node: Node) -> str:
        """The line of a node, and how many bytes of that are before it."""
        before = self.text[: node.position]
        column = len(before[before.rfind("\n") + 1 :].encode(errors="surrogateescape"))
        return f":{before.count(chr(10)) + 1}:{column}"
