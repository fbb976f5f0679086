"""Words of a Dockerfile: quotes, escapes, and variables.

The shell-like language of BuildKit's `shell.Lex`: `$name`, `${name}`, with the modifiers `-`, `+`,
`?` (each also after `:`), `#`, `##`, `%`, `%%`, `/` and `//`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from unicodedata import category

from msgspec import Struct, field
from msgspec.structs import replace

from croze.dockerfile import shell_pattern
from croze.dockerfile.location import DockerfileError
from croze.gotypes.quote import quote
from croze.gotypes.strings import SPACE, shown
from croze.patterns import lazy_pattern

_PIECES = lazy_pattern(f"[{SPACE}]+|[^{SPACE}]+")
_RUNS = {escape: re.compile(f"[^$<'\"{re.escape(escape)}]+") for escape in ("\\", "`")}
_SPECIAL_PARAMETERS = "@*#?-$!0"
_MAX_NESTING = 100
"""How deep `${a:-${b:-...}}` goes; only there to end in an error instead of a full stack."""


class Expansion(Struct, frozen=True):
    """A word after expansion: as one text, and split at spaces. `matched` and `unmatched` are the
    names that were and weren't found, up to the `error` if there is one."""

    result: str
    words: tuple[str, ...]
    matched: frozenset[str] = frozenset()
    unmatched: frozenset[str] = frozenset()
    error: DockerfileError | None = None


class ShellLex(Struct, frozen=True):
    """How words are read. `raw_quotes` and `raw_escapes` keep quotes and escape characters,
    `skip_process_quotes` takes quotes for ordinary characters, `skip_unset` leaves variables that
    aren't set as they are."""

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    skip_process_quotes: bool = False
    skip_unset: bool = False

    def expand(self, word: str, env: Mapping[str, str]) -> Expansion:
        """Expand the variables in `word`. Raises `DockerfileError`."""
        expanded = self.attempt(word, env)
        if expanded.error is not None:
            raise expanded.error
        return expanded

    def attempt(self, word: str, env: Mapping[str, str]) -> Expansion:
        """Like `expand`, for those who report names whether or not the word is right: what is wrong
        is in `Expansion.error`."""
        text = shown(word).removeprefix("\ufeff")
        if self._is_plain(text):
            return Expansion(text, _split(text))
        reader = _Reader(self, text, env)
        try:
            expansion = Expansion(*reader.read("", self.raw_escapes))
        except DockerfileError as err:
            expansion = Expansion("", (), error=err.wrap(f"failed to process {quote(word)}"))
        names = frozenset(reader.matched), frozenset(reader.unmatched)
        return replace(expansion, matched=names[0], unmatched=names[1])

    def expand_words(self, word: str, env: Mapping[str, str]) -> tuple[str, ...]:
        """The words of `word` after expansion, split at the spaces that are outside quotes. Raises
        `DockerfileError`."""
        return self.expand(word, env).words

    def _is_plain(self, text: str) -> bool:
        return not any(c in text for c in ("$", "'", '"', "<", self.escape))


def _split(text: str) -> tuple[str, ...]:
    words = text.split()
    if any(c in text for c in "\x1c\x1d\x1e\x1f"):
        words = [w for w in re.split(f"[{SPACE}]+", text) if w]
    return tuple(words)


class _Words(Struct):
    """Collects words while they are read. `buffer` is shared with the reader, see there."""

    buffer: list[str]
    words: list[str] = field(default_factory=list)
    in_word: bool = False

    def add(self, text: str) -> None:
        """Text in which spaces separate words."""
        for piece in _PIECES.findall(text):
            if piece[0] not in SPACE:
                self.add_raw(piece)
            elif self.in_word and self.buffer:
                self._flush()

    def add_raw(self, text: str) -> None:
        """Text in which they don't."""
        if text:
            self.buffer.append(text)
        self.in_word = True

    def finish(self) -> tuple[str, ...]:
        if self.buffer:
            self._flush()
        return tuple(self.words)

    def _flush(self) -> None:
        self.words.append("".join(self.buffer))
        self.buffer.clear()
        self.in_word = False


class _Reader:
    """Reads one word from left to right."""

    def __init__(self, lex: ShellLex, text: str, env: Mapping[str, str]) -> None:
        self.lex = lex
        self.text = text
        self.at = 0
        self.env = env
        self.raw_escapes = lex.raw_escapes
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()
        self.nesting = 0
        # One buffer for all nested reads: what stands in a word before a nested one is lost from
        # the split words, though not from the result. BuildKit does so.
        self.buffer: list[str] = []

    def peek(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        char = self.peek()
        self.at += len(char)
        return char

    def read(self, stop: str, raw_escapes: bool) -> tuple[str, tuple[str, ...]]:
        """Up to and without `stop`; to the end if that is empty."""
        outer, self.raw_escapes = self.raw_escapes, raw_escapes
        self.nesting += 1
        if self.nesting > _MAX_NESTING:
            raise DockerfileError("syntax error: substitutions nested too deep")
        try:
            return self._read(stop)
        finally:
            self.raw_escapes = outer
            self.nesting -= 1

    def _read(self, stop: str) -> tuple[str, tuple[str, ...]]:
        self.buffer.clear()
        words = _Words(self.buffer)
        result: list[str] = []
        while char := self.peek():
            if char == stop:
                self.next()
                return "".join(result), words.finish()
            if char == "$":
                piece = self.dollar()
                words.add(piece)
            elif char == "<":
                piece = self.heredoc_mark()
                words.add_raw(piece)
            elif char in "'\"" and not self.lex.skip_process_quotes:
                piece = self.single_quoted() if char == "'" else self.double_quoted()
                words.add_raw(piece)
            else:
                piece = self.plain(words) if stop else self.plain_run(words)
            result.append(piece)
        if stop:
            raise DockerfileError(f"unexpected end of statement while looking for matching {stop}")
        return "".join(result), words.finish()

    def plain_run(self, words: _Words) -> str:
        """Ordinary characters up to one that may mean something."""
        run = _RUNS[self.lex.escape].match(self.text, self.at)
        if run is None:
            return self.plain(words)
        self.at = run.end()
        words.add(run[0])
        return run[0]

    def plain(self, words: _Words) -> str:
        """One ordinary or escaped character."""
        char = self.next()
        if char != self.lex.escape:
            words.add(char)
            return char
        escape = char if self.raw_escapes else ""
        if escape:
            words.add_raw(escape)
        escaped = self.next()
        if escaped:
            words.add_raw(escaped)
        return escape + escaped

    def single_quoted(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            self.at = len(self.text)
            raise DockerfileError(
                "unexpected end of statement while looking for matching single-quote"
            )
        text = self.text[self.at : end + 1]
        self.at = end + 1
        return text if self.lex.raw_quotes else text[1:-1]

    def double_quoted(self) -> str:
        mark = self.next() if self.lex.raw_quotes else self.next() and ""
        out = [mark]
        while (char := self.peek()) != '"':
            if not char:
                raise DockerfileError(
                    "unexpected end of statement while looking for matching double-quote"
                )
            if char == "$":
                out.append(self.dollar())
            else:
                out.append(self._quoted_char())
        self.next()
        return "".join([*out, mark])

    def _quoted_char(self) -> str:
        """Within double quotes the escape character only works on a few others."""
        char = self.next()
        if char != self.lex.escape:
            return char
        escape = char if self.raw_escapes else ""
        following = self.peek()
        if not following:
            return escape
        if following in ('"', "$", self.lex.escape):
            return escape + self.next()
        return escape + char

    def heredoc_mark(self) -> str:
        """`<<` and the spaces behind it stay together with the heredoc's word."""
        start = self.at
        self.next()
        if self.peek() == "<":
            self.next()
            while self.peek() in ("\t", "\r", " "):
                self.next()
        return self.text[start : self.at]

    def dollar(self) -> str:
        self.next()
        if self.peek() == "{":
            return self.braced()
        name = self.name()
        if not name:
            return "$"
        value = self.lookup(name)
        if value is None:
            return "$" + name if self.lex.skip_unset else ""
        return value

    def braced(self) -> str:
        self.next()
        if not self.peek():
            raise DockerfileError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise DockerfileError("syntax error: bad substitution")
        name = self.name()
        modifier = self.next()
        if modifier == "}":
            value = self.lookup(name)
            if value is None:
                return f"${{{name}}}" if self.lex.skip_unset else ""
            return value
        if modifier == ":":
            return self.modified(name, ":", self.next())
        if modifier and modifier in "+-?#%":
            return self.modified(name, "", modifier)
        if modifier == "/":
            return self.replaced(name)
        raise _unsupported(modifier)

    def modified(self, name: str, colon: str, operator: str) -> str:
        """`${name-word}` and its like; with a colon an empty value counts as unset."""
        trims = operator in ("#", "%")
        if colon and trims:
            raise _unsupported(colon + operator)
        word = self.operand("}", trims, "syntax error: missing '}'")
        value = self.lookup(name)
        if value is None and self.lex.skip_unset:
            return f"${{{name}{colon}{operator}{word}}}"
        missing = value is None or (bool(colon) and not value)
        match operator:
            case "-":
                return word if missing else value or ""
            case "+":
                return "" if missing else word
            case "?":
                return _required(name, value, word, missing)
            case "#" | "%":
                return _trim(operator, word, value or "")
        raise _unsupported(colon + operator)

    def replaced(self, name: str) -> str:
        """`${name/pattern/text}`."""
        every = self.peek() == "/"
        if every:
            self.next()
        pattern = self.operand("/", True, "syntax error: missing '/' in ${}")
        text = self.operand("}", True, "syntax error: missing '}'")
        value = self.lookup(name)
        if value is None and self.lex.skip_unset:
            return f"${{{name}/{pattern}/{text}}}"
        replace = shell_pattern.replace_all if every else shell_pattern.replace_first
        return replace(pattern, value or "", text)

    def operand(self, stop: str, raw_escapes: bool, missing: str) -> str:
        try:
            return self.read(stop, raw_escapes)[0]
        except DockerfileError:
            if not self.peek() and self.nesting < _MAX_NESTING:
                raise DockerfileError(missing) from None
            raise

    def name(self) -> str:
        """A name, a number, or a special parameter; empty if there is none."""
        start = self.at
        first = self.peek()
        if first and category(first) == "Nd":
            while (char := self.peek()) and category(char) == "Nd":
                self.next()
        elif first and first in _SPECIAL_PARAMETERS:
            self.next()
        else:
            while (char := self.peek()) and _in_name(char):
                self.next()
        return self.text[start : self.at]

    def lookup(self, name: str) -> str | None:
        value = self.env.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value


def _in_name(char: str) -> bool:
    return char == "_" or category(char)[0] == "L" or category(char) == "Nd"


def _required(name: str, value: str | None, word: str, missing: bool) -> str:
    if not missing:
        return value or ""
    default = "unset" if value is None else "empty"
    raise DockerfileError(f"{name}: {word or f'is not allowed to be {default}'}")


def _trim(operator: str, word: str, value: str) -> str:
    longest = word.startswith(operator)
    trim = shell_pattern.trim_prefix if operator == "#" else shell_pattern.trim_suffix
    return trim(word[1:] if longest else word, value, longest=longest)


def _unsupported(modifier: str) -> DockerfileError:
    return DockerfileError(f"unsupported modifier ({modifier or chr(0xFFFD)}) in substitution")
