"""The row of template pieces becomes a tree: directives and what they enclose."""

from __future__ import annotations

from croze.bake.hcl.source import Diagnostic, HclError, SourceRange
from croze.bake.hcl.syntax import (
    Conditional,
    Expression,
    For,
    Join,
    Literal,
    Template,
)
from croze.bake.hcl.template_tokens import (
    EndPiece,
    ForPiece,
    IfPiece,
    InterpolationPiece,
    Piece,
    TextPiece,
)
from croze.bake.values.value import DYNAMIC_VALUE, string

_UNBALANCED = "The control directives within this template are unbalanced."
_DEEPEST = 80


class TemplateTree:
    """Reads pieces up to the end piece, which is the last."""

    def __init__(self, pieces: list[Piece], problems: list[Diagnostic]) -> None:
        self.pieces = pieces
        self.problems = problems
        self.at = 0
        self.depth = 0

    def parse(self) -> list[Expression]:
        parts: list[Expression] = []
        while not _is_end(self.pieces[self.at]):
            parts.append(self.part())
        return parts

    def error(self, summary: str, detail: str, subject: SourceRange) -> Expression:
        self.problems.append(Diagnostic(summary, detail, subject))
        return Literal(DYNAMIC_VALUE, subject)

    def part(self) -> Expression:
        piece = self.pieces[self.at]
        self.at += 1
        match piece:
            case TextPiece():
                return Literal(string(piece.text), piece.range)
            case InterpolationPiece():
                return piece.expression
            case IfPiece():
                return self.nested(piece)
            case ForPiece():
                return self.nested(piece)
            case EndPiece():
                return self.error(f"Unexpected {piece.name} directive", _UNBALANCED, piece.range)

    def nested(self, piece: IfPiece | ForPiece) -> Expression:
        self.depth += 1
        if self.depth > _DEEPEST:
            detail = f"Directives can be nested at most {_DEEPEST} levels deep."
            self.error("Template nested too deeply", detail, piece.range)
            raise HclError(self.problems)
        parsed = self.condition(piece) if isinstance(piece, IfPiece) else self.loop(piece)
        self.depth -= 1
        return parsed

    def until_end(
        self, name: str, start: SourceRange, parts: list[Expression]
    ) -> EndPiece | Expression:
        """Collect parts up to the next ending directive, or a placeholder if the template ends
        first."""
        while True:
            piece = self.pieces[self.at]
            if not isinstance(piece, EndPiece):
                parts.append(self.part())
                continue
            if not piece.name:
                detail = (
                    f"The {name} directive at {start} is missing its corresponding "
                    f"end{name} directive."
                )
                return self.error("Unexpected end of template", detail, piece.range)
            self.at += 1
            return piece

    def condition(self, piece: IfPiece) -> Expression:
        start = piece.range
        branches: list[list[Expression]] = [[]]
        while True:
            end = self.until_end("if", start, branches[-1])
            if not isinstance(end, EndPiece):
                return end
            if end.name == "endif":
                break
            if end.name == "endfor":
                detail = f"Expecting an endif directive for the if started at {start}."
                return self.error("Unexpected endfor directive", detail, end.range)
            if len(branches) == 2:
                detail = f"Already in the else clause for the if started at {start}."
                return self.error("Unexpected else directive", detail, end.range)
            branches.append([])
        when_true = branches[0] or [Literal(string(""), start.at_end())]
        otherwise = branches[1] if len(branches) == 2 else []
        when_false = otherwise or [Literal(string(""), end.range.at_start())]
        return Conditional(
            piece.condition, _template(when_true), _template(when_false), start.to(end.range)
        )

    def loop(self, piece: ForPiece) -> Expression:
        start = piece.range
        parts: list[Expression] = []
        end = self.until_end("for", start, parts)
        if not isinstance(end, EndPiece):
            return end
        if end.name == "else":
            detail = "An else clause is not expected for a for directive."
            return self.error("Unexpected else directive", detail, end.range)
        if end.name == "endif":
            detail = f"Expecting an endfor directive corresponding to the for directive at {start}."
            return self.error("Unexpected endif directive", detail, end.range)
        body = _template(parts or [Literal(string(""), start.at_end())])
        loop = For(
            piece.key_name,
            piece.value_name,
            piece.collection,
            None,
            body,
            None,
            False,
            start.to(end.range),
            start,
        )
        return Join(loop)


def _is_end(piece: Piece) -> bool:
    return isinstance(piece, EndPiece) and not piece.name


def _template(parts: list[Expression]) -> Template:
    return Template(parts, parts[0].range.to(parts[-1].range))
