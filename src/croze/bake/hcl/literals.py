"""The text that a literal token stands for: escapes resolved, template markers made plain."""

from __future__ import annotations

import re
from typing import Final

from croze.bake.hcl import tokens as t
from croze.bake.hcl.graphemes import count
from croze.bake.hcl.source import Diagnostic, Pos, Range
from croze.bake.hcl.tokens import Token
from croze.gotypes.quote import quote

_PIECES: Final = re.compile(
    r"\\u[0-9a-fA-F]{0,4}|\\U[0-9a-fA-F]{0,8}|\\.?|\$\$\{|%%\{|\r\n|\r|\n|[^\\$%\r\n]+|[$%]",
    re.DOTALL,
)
_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def literal_text(token: Token, found: list[Diagnostic]) -> str:
    """What the token means; adds a diagnostic for each escape that means nothing."""
    text = token.text
    if token.kind == t.TEXT:
        return text.replace("$${", "${").replace("%%{", "%{") if "{" in text else text
    if "\\" not in text and "{" not in text:
        return text
    out: list[str] = []
    line, column, offset = token.start
    for piece in _PIECES.findall(text):
        start = Pos(line, column, offset)
        offset += len(piece)
        if piece in ("\n", "\r", "\r\n"):
            line, column = line + 1, 1
        else:
            column += count(piece)
        where = Range(token.filename, start, Pos(line, column, offset))
        out.append(_resolve(piece, where, found))
    return "".join(out)


def _resolve(piece: str, where: Range, found: list[Diagnostic]) -> str:
    if piece in ("$${", "%%{"):
        return piece[1:]
    if piece[0] != "\\":
        return piece
    selector = piece[1:2]
    if selector in _SIMPLE:
        return _SIMPLE[selector]
    if selector in ("u", "U"):
        return _code_point(piece, where, found)
    if not selector:
        detail = "Backslash must be followed by an escape sequence selector character."
    else:
        detail = f"The symbol {quote(selector)} is not a valid escape sequence selector."
    found.append(Diagnostic("Invalid escape sequence", detail, where))
    return selector or piece


def _code_point(piece: str, where: Range, found: list[Diagnostic]) -> str:
    short = piece[1] == "u"
    digits = piece[2:]
    detail = ""
    if len(digits) != (4 if short else 8):
        wanted = "four" if short else "eight"
        detail = (
            f"The \\{piece[1]} escape sequence must be followed by {wanted} hexadecimal digits."
        )
    elif (number := int(digits, 16)) > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        detail = f"Cannot encode character U+{number:04x} in UTF-8."
    else:
        return chr(number)
    found.append(Diagnostic("Invalid escape sequence", detail, where))
    return piece
