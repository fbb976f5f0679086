"""Regular expressions and globs. Neither goes back on its way, whatever the pattern is."""

from __future__ import annotations

import re

from croze.gotypes.regexp import BadExpression, Match, Regexp
from croze.rego.builtins.operands import array, integer, string
from croze.rego.errors import FunctionError
from croze.rego.values import Value, boolean

_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)
_SPECIAL = re.compile(r"[*?\\\[\]{}]")


def _compiled(pattern: Value) -> Regexp:
    try:
        return Regexp(string(pattern))
    except BadExpression as error:
        raise FunctionError(str(error)) from None


def is_valid(pattern: Value) -> Value:
    try:
        _compiled(pattern)
    except FunctionError:
        return boolean(False)
    return boolean(True)


def match(pattern: Value, text: Value) -> Value:
    return boolean(_compiled(pattern).search(string(text)))


def split(pattern: Value, text: Value) -> Value:
    return tuple(_compiled(pattern).split(string(text)))


def find(pattern: Value, text: Value, most: Value) -> Value:
    matches = _compiled(pattern).find_all(string(text), integer(most))
    return tuple(groups[0] for groups in matches)


def find_groups(pattern: Value, text: Value, most: Value) -> Value:
    matches = _compiled(pattern).find_all(string(text), integer(most))
    return tuple(tuple(groups) for groups in matches)


def replace(text: Value, pattern: Value, value: Value) -> Value:
    template = string(value)

    def expand(match: Match) -> str:
        def group(reference: re.Match[str]) -> str:
            if reference[1]:
                return "$"
            name = reference[2] or reference[3]
            return match[int(name) if name.isdigit() and len(name) < 10 else name]

        return _REFERENCE.sub(group, template)

    return _compiled(pattern).replace(string(text), expand)


def template_match(template: Value, text: Value, begin: Value, end: Value) -> Value:
    """Expressions stand between delimiters, all else for itself."""
    left, right = string(begin), string(end)
    if len(left) != 1 or len(right) != 1:
        raise FunctionError("delimiters have to be exactly one character long")
    out, rest = ["^"], string(template)
    while rest:
        before, separator, rest = rest.partition(left)
        out.append(re.escape(before))
        if not separator:
            break
        inside, separator, rest = rest.partition(right)
        if not separator:
            raise FunctionError("unbalanced braces")
        out.append(f"({inside})")
    return boolean(_compiled("".join(out) + "$").search(string(text)))


# -- globs --


def glob_match(pattern: Value, delimiters: Value, text: Value) -> Value:
    """Globs as gobwas has them: `*` stops at delimiters, `**` doesn't."""
    stops: list[str] = []
    if delimiters is not None:
        stops = [string(each) for each in array(delimiters)] or ["."]
    if any(len(each) != 1 for each in stops):
        raise FunctionError("must be an array of single characters")
    expression = _Glob(string(pattern), "".join(stops)).expression()
    return boolean(_compiled(f"(?s)^{expression}$").search(string(text)))


def glob_quote(pattern: Value) -> Value:
    return _SPECIAL.sub(lambda match: "\\" + match[0], string(pattern))


class _Glob:
    def __init__(self, pattern: str, stops: str) -> None:
        self._rest, self._at = pattern, 0
        self._one = f"[^{re.escape(stops)}]" if stops else "."

    def expression(self, *, nested: bool = False) -> str:
        out: list[str] = []
        while self._at < len(self._rest):
            char = self._rest[self._at]
            if nested and char in ",}":
                return "".join(out)
            self._at += 1
            out.append(self._part(char))
        if nested:
            raise FunctionError("unexpected end of input")
        return "".join(out)

    def _part(self, char: str) -> str:
        match char:
            case "*":
                if self._rest.startswith("*", self._at):
                    self._at += 1
                    return ".*"
                return f"{self._one}*"
            case "?":
                return self._one
            case "[":
                return self._class()
            case "{":
                return self._alternatives()
            case "\\":
                char = self._rest[self._at : self._at + 1]
                self._at += 1
        return re.escape(char)

    def _class(self) -> str:
        end = self._rest.find("]", self._at)
        if end < 0:
            raise FunctionError("unexpected end of input")
        inside = self._rest[self._at : end]
        self._at = end + 1
        negated = inside.startswith("!")
        inside = inside.removeprefix("!")
        shown = inside if re.fullmatch(".-.", inside) else re.escape(inside)
        return f"[{'^' if negated else ''}{shown}]"

    def _alternatives(self) -> str:
        alternatives = []
        while True:
            alternatives.append(self.expression(nested=True))
            self._at += 1
            if self._rest[self._at - 1] == "}":
                return f"(?:{'|'.join(alternatives)})"


def globs_meet(left: Value, right: Value) -> Value:
    """Whether some text matches both: letters, `.`, `[a-z]`, each with `*` or `+`."""
    return boolean(_Meeting(_tokens(string(left)), _tokens(string(right))).possible(0, 0))


_TOKEN = re.compile(r"(\[[^\]]*\]|\\.|[^\\\[\]])([*+]?)", re.DOTALL)
_Token = tuple[frozenset[str] | None, str]
"""Which characters (None: any), and how often."""


def _tokens(pattern: str) -> list[_Token]:
    out: list[_Token] = []
    at = 0
    while at < len(pattern):
        match = _TOKEN.match(pattern, at)
        if match is None or match[1] in ("*", "+"):
            raise FunctionError("the input provided is invalid")
        at = match.end()
        out.append((_characters(match[1]), match[2]))
    if len(out) > 500:
        raise FunctionError("the input provided is invalid")
    return out


def _characters(token: str) -> frozenset[str] | None:
    if token == ".":
        return None
    if token.startswith("\\"):
        return frozenset(token[1])
    if not token.startswith("["):
        return frozenset(token)
    characters: set[str] = set()
    for low, high in re.findall(r"(.)(?:-(.))?", token[1:-1]):
        characters.update(map(chr, range(ord(low), ord(high or low) + 1)))
    return frozenset(characters)


class _Meeting:
    def __init__(self, left: list[_Token], right: list[_Token]) -> None:
        self._left, self._right = left, right

    def possible(self, i: int, j: int) -> bool:
        """Whether there is a text for what begins at these places."""
        seen: set[tuple[int, int]] = set()
        todo = [(i, j)]
        while todo:
            at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            if at == (len(self._left), len(self._right)):
                return True
            todo += self._next(*at)
        return False

    def _next(self, i: int, j: int) -> list[tuple[int, int]]:
        out = []
        left = self._left[i] if i < len(self._left) else None
        right = self._right[j] if j < len(self._right) else None
        if left and left[1] == "*":
            out.append((i + 1, j))
        if right and right[1] == "*":
            out.append((i, j + 1))
        if left and right and _share(left[0], right[0]):
            after_left = [i + 1, *([i] if left[1] else [])]
            after_right = [j + 1, *([j] if right[1] else [])]
            out += [(x, y) for x in after_left for y in after_right]
        return out


def _share(left: frozenset[str] | None, right: frozenset[str] | None) -> bool:
    return left is None or right is None or bool(left & right)
