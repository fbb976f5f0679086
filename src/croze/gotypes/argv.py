"""Command lines as Go's programs read them: one reader, with two grammars.

`PFLAG` is that of Docker's tools (spf13/pflag `flag.go`, `errors.go`), `URFAVE` that of buildkitd
and buildctl (urfave/cli v3 `command_parse.go`). They differ in what a single dash begins, in what
ends the flags, and in the words for a mistake; values, `--`, and switches they have in common.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from croze.errors import InvalidRequest
from croze.gotypes.booleans import checked_bool, parse_bool
from croze.gotypes.quote import quote


class BadFlag(InvalidRequest):
    """A command line that can't be read, in the words of its grammar."""


class FlagNames(Struct, frozen=True):
    """A flag's names with their dashes, `-q` and `--quiet`, and whether it is a switch: one that
    takes no word after it."""

    names: tuple[str, ...]
    switch: bool = False

    @property
    def shown(self) -> str:
        """The flag as pflag's messages have it."""
        return ", ".join(self.names)


class CommandLine(Struct, frozen=True):
    """A command line that was read. `values` are the flags that were given, in order, each with its
    value; a switch's is `true` or `false`. `words` is all the rest."""

    values: Sequence[tuple[FlagNames, str]]
    words: Sequence[str]


def _never(word: str) -> bool:
    return False


class Grammar(ABC):
    """What is a flag, and what to say of one that is wrong."""

    def read(
        self,
        argv: Sequence[str],
        flags: Iterable[FlagNames],
        *,
        until: Callable[[str], bool] = _never,
    ) -> CommandLine:
        """Tell flags from words. `until` tells of a word that is no flag whether it ends them, as a
        command's name does; it is the first of the words that are left then. Raises `BadFlag`."""
        reading = _Reading(deque(argv), {name: flag for flag in flags for name in flag.names})
        while reading.rest:
            word = self._trimmed(reading.rest.popleft())
            if word == "--":
                break
            if self._is_flag(word):
                self._take(word, reading)
                continue
            reading.words.append(word)
            if self._ends_flags(word, reading) or until(word):
                break
        return CommandLine(reading.values, [*reading.words, *reading.rest])

    def _trimmed(self, word: str) -> str:
        return word

    def _is_flag(self, word: str) -> bool:
        return word.startswith("-") and word != "-"

    def _ends_flags(self, word: str, reading: _Reading) -> bool:
        """Whether no flag follows this word, that is none itself."""
        return False

    @abstractmethod
    def _take(self, word: str, reading: _Reading) -> None:
        """Read a flag's word, and the one after it if that is its value."""


class _Reading(Struct):
    """A command line that is being read."""

    rest: deque[str]
    flags: Mapping[str, FlagNames]
    values: list[tuple[FlagNames, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def add(self, flag: FlagNames, value: str) -> None:
        self.values.append((flag, value))

    def next_word(self, problem: str) -> str:
        """The value in a word of its own. Raises `BadFlag` with the problem where none is left."""
        if not self.rest:
            raise BadFlag(problem)
        return self.rest.popleft()


class _Pflag(Grammar):
    """`--name` is a flag, `-abc` three of one letter, or one and its value: `-ofile`."""

    def _take(self, word: str, reading: _Reading) -> None:
        if word.startswith("--"):
            self._take_long(word, reading)
        else:
            self._take_letters(word[1:], reading)

    def _take_long(self, word: str, reading: _Reading) -> None:
        if word[2] in "-=":
            raise BadFlag(f"bad flag syntax: {word}")
        name, equals, value = word.partition("=")
        flag = reading.flags.get(name)
        if flag is None:
            raise BadFlag(f"unknown flag: {name}")
        if flag.switch:
            reading.add(flag, self._switch(flag, value) if equals else "true")
        else:
            missing = f"flag needs an argument: {name}"
            reading.add(flag, value if equals else reading.next_word(missing))

    def _take_letters(self, letters: str, reading: _Reading) -> None:
        while letters:
            letter, value = letters[0], letters[1:]
            flag = reading.flags.get(f"-{letter}")
            if flag is None:
                raise BadFlag(f"unknown shorthand flag: {_letter(letter)} in -{letters}")
            has_value = value.startswith("=") and len(value) > 1
            if flag.switch and not has_value:
                reading.add(flag, "true")
                letters = value
                continue
            value = value[1:] if has_value else value
            if flag.switch:
                value = self._switch(flag, value)
            elif not value:
                missing = f"flag needs an argument: {_letter(letter)} in -{letters}"
                value = reading.next_word(missing)
            reading.add(flag, value)
            return

    def _switch(self, flag: FlagNames, value: str) -> str:
        try:
            return "true" if checked_bool(value) else "false"
        except InvalidRequest as error:
            shown = f"invalid argument {quote(value)} for {quote(flag.shown)} flag"
            raise BadFlag(f"{shown}: {error}") from None


class _Urfave(Grammar):
    """`-name` and `--name` are the same flag; letters are not taken apart."""

    def _trimmed(self, word: str) -> str:
        return word.strip()

    def _is_flag(self, word: str) -> bool:
        return word.startswith("--") or (word.startswith("-") and word[1:2].isalpha())

    def _ends_flags(self, word: str, reading: _Reading) -> bool:
        if word == "-":
            reading.rest.clear()  # which is passed over
        return word.startswith("-")

    def _take(self, word: str, reading: _Reading) -> None:
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        flag = reading.flags.get(f"--{name}") or reading.flags.get(f"-{name}")
        if flag is None or name.startswith("-"):
            raise BadFlag(f"flag provided but not defined: -{name}")
        if flag.switch:
            reading.add(flag, self._switch(name, value))
        else:
            missing = f"flag needs an argument: {word}"
            reading.add(flag, value if equals else reading.next_word(missing))

    def _switch(self, name: str, value: str) -> str:
        on = parse_bool(value or "true")
        if on is None:
            raise BadFlag(f"invalid value {quote(value)} for flag -{name}: parse error")
        return "true" if on else "false"


PFLAG: Final = _Pflag()
URFAVE: Final = _Urfave()


def _letter(letter: str) -> str:
    return f"'{letter}'"
