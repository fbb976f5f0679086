"""The text that a literal token stands for: escapes resolved, template markers made plain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from croze.bake.hcl import tokens as t
from croze.bake.hcl.graphemes import count
from croze.bake.hcl.source import Diagnostic, Placed, Pos, SourceRange
from croze.bake.hcl.tokens import HclToken
from croze.gotypes.quote import quote

_PIECES: Final = re.compile(
    r"\\u[0-9a-fA-F]{0,4}|\\U[0-9a-fA-F]{0,8}|\\.?|\$\$\{|%%\{|\r\n|\r|\n|[^\\$%\r\n]+|[$%]",
    re.DOTALL,
)
_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def literal_text(token: HclToken, problems: list[Diagnostic]) -> str:
    """What the token means; adds a diagnostic for each escape that means nothing."""
    text = token.text
    if token.kind == t.TEXT:
        return text.replace("$${", "${").replace("%%{", "%{") if "{" in text else text
    if "\\" not in text and "{" not in text:
        return text
    pieces: list[str] = _PIECES.findall(text)
    return "".join(_resolve(token, pieces, at, problems) for at in range(len(pieces)))


def _where(token: HclToken, pieces: Sequence[str], index: int) -> SourceRange:
    """Where one of the token's pieces stands."""
    line, column, offset = token.start
    start = token.start
    for piece in pieces[: index + 1]:
        start = Pos(line, column, offset)
        offset += len(piece)
        if piece in ("\n", "\r", "\r\n"):
            line, column = line + 1, 1
        else:
            column += count(piece)
    return Placed(token.filename, start, Pos(line, column, offset))


def _resolve(token: HclToken, pieces: Sequence[str], index: int, problems: list[Diagnostic]) -> str:
    piece = pieces[index]
    if piece in ("$${", "%%{"):
        return piece[1:]
    if piece[0] != "\\":
        return piece
    selector = piece[1:2]
    if selector in _SIMPLE:
        return _SIMPLE[selector]
    detail = f"The symbol {quote(selector)} is not a valid escape sequence selector."
    if selector in ("u", "U"):
        detail, text = _code_point(piece)
        if not detail:
            return text
    elif not selector:
        detail = "Backslash must be followed by an escape sequence selector character."
    where = _where(token, pieces, index)
    problems.append(Diagnostic("Invalid escape sequence", detail, where))
    return piece if selector in ("u", "U") else selector or piece


def _code_point(piece: str) -> tuple[str, str]:
    """What is wrong with the escape if something is, and the character that it means."""
    digits = piece[2:]
    if len(digits) != (4 if piece[1] == "u" else 8):
        digits_due = "four" if piece[1] == "u" else "eight"
        detail = (
            f"The \\{piece[1]} escape sequence must be followed by {digits_due} hexadecimal digits."
        )
        return detail, ""
    number = int(digits, 16)
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return f"Cannot encode character U+{number:04x} in UTF-8.", ""
    return "", chr(number)
