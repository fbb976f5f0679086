"""Templates between tokens and tree: texts, interpolations and directives in a flat row."""

from __future__ import annotations

from typing import Literal

import msgspec

from croze.bake.hcl.graphemes import clusters, count
from croze.bake.hcl.source import Placed, Pos, SourceRange
from croze.bake.hcl.syntax import Expression
from croze.gotypes.strings import SPACE


class TextPiece(msgspec.Struct):
    text: str
    range: SourceRange


class InterpolationPiece(msgspec.Struct):
    expression: Expression
    range: SourceRange


class IfPiece(msgspec.Struct):
    condition: Expression
    range: SourceRange


class ForPiece(msgspec.Struct):
    key_name: str
    value_name: str
    collection: Expression
    range: SourceRange


class EndPiece(msgspec.Struct):
    """What ends a part of a template: `else`, `endif` or `endfor`, or the template's own end."""

    name: Literal["else", "endif", "endfor", ""]
    range: SourceRange


Piece = TextPiece | InterpolationPiece | IfPiece | ForPiece | EndPiece


def flush(pieces: list[Piece]) -> None:
    """Take the indentation that all lines share away (a heredoc opened with `<<-`)."""
    adjust: list[TextPiece] = []
    smallest: int | None = None
    at_line_start = True
    for piece in pieces:
        if at_line_start:
            at_line_start = False
            if isinstance(piece, EndPiece) and not piece.name:
                break
            spaces = _indentation(piece)
            if spaces is not None:
                if isinstance(piece, TextPiece):
                    adjust.append(piece)
                smallest = spaces if smallest is None else min(smallest, spaces)
        if isinstance(piece, TextPiece) and piece.text.endswith("\n"):
            at_line_start = True
    for each in adjust:
        _unindent(each, smallest or 0)


def _indentation(piece: Piece) -> int | None:
    """How many characters of white space a line begins with; None for a blank line."""
    if not isinstance(piece, TextPiece):
        return 0
    trimmed = piece.text.lstrip(SPACE)
    if not trimmed and piece.text.endswith("\n"):
        return None
    return count(piece.text[: len(piece.text) - len(trimmed)])


def _unindent(piece: TextPiece, spaces: int) -> None:
    cut = 0
    for index, cluster in enumerate(clusters(piece.text)):
        if index == spaces:
            break
        cut += len(cluster)
    piece.text = piece.text[cut:]
    start = piece.range.start
    moved = Pos(start.line, start.column + spaces, start.offset + cut)
    piece.range = Placed(piece.range.filename, moved, piece.range.end)


def meld(pieces: list[Piece]) -> list[Piece]:
    """The pieces with neighbouring texts made one."""
    out: list[Piece] = []
    texts: list[str] = []
    for piece in pieces:
        last = out[-1] if out else None
        if isinstance(piece, TextPiece) and isinstance(last, TextPiece):
            texts.append(piece.text)
            last.range = last.range.to(piece.range)
            continue
        _settle(last, texts)
        out.append(piece)
    _settle(out[-1] if out else None, texts)
    return out


def _settle(last: Piece | None, texts: list[str]) -> None:
    if isinstance(last, TextPiece) and texts:
        last.text += "".join(texts)
        texts.clear()
