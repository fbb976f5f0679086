"""Patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`.

`*` is any text, `?` any character (neither crosses a line end), a backslash escapes `*`, `?` and
itself. Matching walks the text once with the set of live pattern positions, so that no pattern
makes it slow.
"""

from __future__ import annotations

from dataclasses import dataclass

from croze.dockerfile.location import DockerfileError

_STAR = ""
_ANY = None
_Token = str | None
"""A literal character, `_STAR`, or `_ANY`."""


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern."""

    tokens: tuple[_Token, ...]

    def prefix(self, text: str, *, longest: bool) -> int | None:
        """How many characters at the start of `text` match, or None."""
        live, best = self._close({0}), None
        for end in range(len(text) + 1):
            if len(self.tokens) in live:
                best = end
                if not longest:
                    break
            if end == len(text) or not live:
                break
            live = self._step(live, text[end])
        return best

    def find(self, text: str, start: int) -> tuple[int, int] | None:
        """The leftmost, then longest match at or after `start`."""
        first: dict[int, int] = {}
        best: tuple[int, int] | None = None
        for at in range(start, len(text) + 1):
            if best is None:
                for state in self._close({0}):
                    first.setdefault(state, at)
            begin = first.get(len(self.tokens))
            if begin is not None and (best is None or begin <= best[0]):
                best = (begin, at)
                first = {s: b for s, b in first.items() if b <= begin}
            if at == len(text) or (best is not None and not first):
                break
            first = self._step_from(first, text[at])
        return best

    def _step_from(self, first: dict[int, int], char: str) -> dict[int, int]:
        after: dict[int, int] = {}
        for state, begin in first.items():
            for reached in self._step({state}, char):
                after[reached] = min(begin, after.get(reached, begin))
        return after

    def _close(self, states: set[int]) -> set[int]:
        """With all positions reached by letting a `*` match nothing."""
        closed = set(states)
        for state in states:
            while state < len(self.tokens) and self.tokens[state] == _STAR:
                state += 1
                closed.add(state)
        return closed

    def _step(self, states: set[int], char: str) -> set[int]:
        after: set[int] = set()
        for state in states:
            token = self.tokens[state] if state < len(self.tokens) else "\n\n"
            if token == _STAR:
                if char != "\n":
                    after.add(state)
            elif token == char or (token is _ANY and char != "\n"):
                after.add(state + 1)
        return self._close(after)


def compile_pattern(pattern: str) -> Pattern:
    """Raises `DockerfileError` for an escape of anything else."""
    tokens: list[_Token] = []
    at = int(pattern.startswith("\ufeff"))  # a byte order mark is not seen
    while at < len(pattern):
        char, at = pattern[at], at + 1
        if char == "\\":
            following = pattern[at : at + 1]
            if following in ("}", "/"):
                continue  # escaped for ${} alone, not part of the pattern
            if following not in ("*", "?", "\\"):
                shown = following or "\ufffd"
                raise DockerfileError(
                    f"invalid pattern ({pattern}) in substitution: invalid escape '\\{shown}'"
                )
            tokens.append(following)
            at += 1
        elif char == "*":
            tokens.append(_STAR)
        else:
            tokens.append(_ANY if char == "?" else char)
    return Pattern(tuple(tokens))


def trim_prefix(pattern: str, value: str, *, longest: bool) -> str:
    """`${value#pattern}`, or `##` for the longest."""
    length = compile_pattern(pattern).prefix(value, longest=longest)
    return value[length:] if length is not None else value


def trim_suffix(pattern: str, value: str, *, longest: bool) -> str:
    """`${value%pattern}`, or `%%` for the longest."""
    return trim_prefix(_reverse(pattern), value[::-1], longest=longest)[::-1]


def _reverse(pattern: str) -> str:
    """Backwards, but an escape stays in front of what it escapes."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        width = 2 if pattern[at] == "\\" else 1
        parts.append(pattern[at : at + width])
        at += width
    return "".join(reversed(parts))


def replace_first(pattern: str, value: str, text: str) -> str:
    """`${value/pattern/text}`."""
    match = compile_pattern(pattern).find(value, 0)
    return value[: match[0]] + text + value[match[1] :] if match else value


def replace_all(pattern: str, value: str, text: str) -> str:
    """`${value//pattern/text}`. In `text`, `$0` is the match, other `$name` are nothing and `$$` is
    a dollar, as in the templates of Go's regular expressions, which BuildKit uses here."""
    compiled = compile_pattern(pattern)
    out: list[str] = []
    last = at = 0
    while at <= len(value):
        match = compiled.find(value, at)
        if match is None:
            break
        begin, end = match
        out.append(value[last:begin])
        # No empty match right behind the one before.
        if end > last or begin == 0:
            out.append(_fill(text, value[begin:end]))
        last = end
        at = at + 1 if at + 1 > end else end
    return "".join(out) + value[last:]


def _fill(template: str, match: str) -> str:
    head, dollar, rest = template.partition("$")
    out = [head]
    while dollar:
        if rest.startswith("$"):
            out.append("$")
            rest = rest[1:]
        else:
            name, length = _template_name(rest)
            out.append("$" if not length else match if name == "0" else "")
            rest = rest[length:]
        head, dollar, rest = rest.partition("$")
        out.append(head)
    return "".join(out)


def _template_name(text: str) -> tuple[str, int]:
    """The name at the start of `text` and how long it is with its braces; 0 if there is none."""
    braced = text.startswith("{")
    start = end = 1 if braced else 0
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    if end == start or (braced and text[end : end + 1] != "}"):
        return "", 0
    return text[start:end], end + braced
