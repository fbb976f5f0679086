"""Tokens that HCL never has a use for, told with what was probably meant."""

from __future__ import annotations

from collections import Counter

from croze.bake.hcl import tokens as t
from croze.bake.hcl.source import Diagnostic
from croze.bake.hcl.tokens import HclToken

_BITWISE = {
    "&": ' Did you mean boolean AND ("&&")?',
    "|": ' Did you mean boolean OR ("||")?',
    "~": ' Did you mean boolean NOT ("!")?',
    "^": "",
}
_ONCE = {
    ";": (
        "Invalid character",
        'The ";" character is not valid. Use newlines to separate arguments and '
        "blocks, and commas to "
        "separate items in collection values.",
    ),
    t.BAD_UTF8: (
        "Invalid character encoding",
        "All input files must be UTF-8 encoded. Ensure that UTF-8 encoding is "
        "selected in your editor.",
    ),
}
_IN_PAIRS = {
    "`": (
        'The "`" character is not valid. To create a multi-line string, use the '
        '"heredoc" syntax, like '
        '"<<EOT".'
    ),
    "'": 'Single quotes are not valid. Use double quotes (") to enclose strings.',
}
_NEWLINE = (
    "Quoted strings may not be split over multiple lines. To produce a multi-line "
    "string, either use the "
    '\\n escape to represent a newline character or use the "heredoc" multi-line template syntax.'
)
_CURLY = (
    '"Curly quotes" are not valid here. These can sometimes be inadvertently '
    "introduced when sharing code "
    "via documents or discussion forums. It might help to replace the character with a "
    '"straight quote".'
)
_SUSPECTS = {*_BITWISE, *_ONCE, *_IN_PAIRS, t.QUOTED_NEWLINE, t.INVALID}


def check_tokens(tokens: list[HclToken]) -> list[Diagnostic]:
    """What is wrong with these tokens, whatever stands around them; repetitions are told a few
    times."""
    problems: list[Diagnostic] = []
    seen: Counter[str] = Counter()
    for token in tokens:
        if token.kind in _SUSPECTS:
            problems.extend(_check(token, seen))
    return problems


def _check(token: HclToken, seen: Counter[str]) -> list[Diagnostic]:
    kind = token.kind
    if kind in _BITWISE:
        seen["bitwise"] += 1
        if seen["bitwise"] > 4:
            return []
        detail = f"Bitwise operators are not supported.{_BITWISE[kind]}"
        return [Diagnostic("Unsupported operator", detail, token.range)]
    if kind in _ONCE:
        seen[kind] += 1
        return [] if seen[kind] > 1 else [Diagnostic(*_ONCE[kind], token.range)]
    if kind in _IN_PAIRS:
        is_second = seen[kind] % 2 == 0
        seen[kind] += seen[kind] <= 2
        return [Diagnostic("Invalid character", _IN_PAIRS[kind], token.range)] if is_second else []
    if kind == t.QUOTED_NEWLINE:
        return [Diagnostic("Invalid multi-line string", _NEWLINE, token.range)]
    curly = token.text in ("\u201c", "\u201d")
    detail = _CURLY if curly else "This character is not used within the language."
    return [Diagnostic("Invalid character", detail, token.range)]
