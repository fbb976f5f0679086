"""From one joined line to a node: keyword, flags, and arguments in the form each keyword takes."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from croze.dockerfile import json_form
from croze.dockerfile.location import DockerfileError
from croze.dockerfile.syntax_tree import InstructionNode
from croze.gotypes.quote import quote
from croze.gotypes.strings import SPACE, shown
from croze.patterns import lazy_pattern

_SPACES = lazy_pattern(r"[\t\v\f\r ]+")
_BYTE_SPACES = lazy_pattern(r"[\t\n\v\f\r \x85\xa0]+")
_MAX_TRIGGERS = 20
"""ONBUILD in ONBUILD is refused later, with a better message."""


class Arguments(Struct, frozen=True):
    """What follows keyword and flags."""

    words: tuple[str, ...] = ()
    json: bool = False
    trigger: InstructionNode | None = None


_Parser = Callable[[str, str], Arguments]


def parse_line(line: str, escape: str, *, depth: int = 0) -> InstructionNode:
    """The node of a joined line, without its place. Raises `DockerfileError`."""
    name, flags, rest = split_command(line, escape)
    keyword = name.lower()
    if keyword == "onbuild" and depth < _MAX_TRIGGERS:
        trigger = parse_line(rest, escape, depth=depth + 1) if rest else None
        arguments = Arguments(trigger=trigger)
    else:
        arguments = _PARSERS.get(keyword, _ignored)(rest, escape)
    return InstructionNode(
        name=name,
        original=line,
        args=arguments.words,
        trigger=arguments.trigger,
        flags=flags,
        json=arguments.json,
    )


def split_command(line: str, escape: str) -> tuple[str, tuple[str, ...], str]:
    """Keyword, flags, and the rest, of a line."""
    name, *rest = _SPACES.split(line.strip(SPACE), maxsplit=1)
    if not rest:
        return name, (), ""
    flags, remainder = split_flags(rest[0], escape)
    return name, flags, remainder.strip(SPACE)


def split_flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The leading `--` words and what follows; a bare `--` ends them.

    BuildKit reads flags byte by byte and takes each byte for a character of its own. It does not
    matter for what flags usually hold, so it is done here too.
    """
    if text.isascii():
        return _FlagReader(text, escape).read()
    flags, rest = _FlagReader(_as_bytes(text), escape).read()
    return flags, _as_text(rest)


def _as_bytes(text: str) -> str:
    """Each byte of the text as a character."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _as_text(data: str) -> str:
    return data.encode("latin-1").decode("utf-8", "surrogateescape")


class _FlagReader:
    def __init__(self, text: str, escape: str) -> None:
        self.text = text
        self.escape = escape
        self.at = 0

    def read(self) -> tuple[tuple[str, ...], str]:
        flags: list[str] = []
        while True:
            while self.at < len(self.text) and self.text[self.at] in SPACE:
                self.at += 1
            if not self.text.startswith("--", self.at):
                return tuple(flags), self.text[self.at :]
            word = self._word()
            if word == "--":
                return tuple(flags), self.text[self.at :]
            flags.append(word)

    def _word(self) -> str:
        out: list[str] = []
        inside = ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if not inside and char in SPACE:
                break
            self.at += 1
            if char == inside:
                inside = ""
            elif not inside and char in "'\"":
                inside = char
            elif char != self.escape:
                out.append(char)
            elif self.at < len(self.text):
                out.append(self.text[self.at])
                self.at += 1
        return "".join(out)


def split_words(text: str, escape: str) -> list[str]:
    """Words at spaces outside quotes; quotes and escapes are kept for later."""
    reader = _WordReader(shown(text), escape)
    return [word for word in iter(reader.word, None) if word]


class _WordReader:
    def __init__(self, text: str, escape: str) -> None:
        self.text = text
        self.escape = escape
        self.at = 0

    def word(self) -> str | None:
        """The next word; empty for a lone escape at the end; None behind the last."""
        while self.at < len(self.text) and self.text[self.at] in SPACE:
            self.at += 1
        if self.at == len(self.text):
            return None
        out: list[str] = []
        inside = ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if not inside and char in SPACE:
                break
            self.at += 1
            if char == self.escape and inside != "'":
                char = self._escaped(char)
            elif char == inside:
                inside = ""
            elif not inside and char in "'\"":
                inside = char
            out.append(char)
        return "".join(out)

    def _escaped(self, char: str) -> str:
        """The escape and what it escapes; nothing at the end of the text."""
        following = self.text[self.at : self.at + 1]
        self.at += len(following)
        return char + following if following else ""


def _ignored(rest: str, escape: str) -> Arguments:
    return Arguments(("",))


def _whole(rest: str, escape: str) -> Arguments:
    return Arguments((rest,) if rest else ())


def _spaced(rest: str, escape: str) -> Arguments:
    return Arguments(tuple(_SPACES.split(rest)) if rest else ())


def _json_or_whole(rest: str, escape: str) -> Arguments:
    return _json(rest) or _whole(rest, escape)


def _json_or_spaced(rest: str, escape: str) -> Arguments:
    return _json(rest) or _spaced(rest, escape)


def _json(rest: str) -> Arguments | None:
    try:
        words = json_form.string_array(rest.lstrip(SPACE))
    except json_form.NotStrings:
        raise DockerfileError(
            "when using JSON array syntax, arrays must be comprised of strings only"
        ) from None
    return None if words is None else Arguments(words, json=True)


def _names(rest: str, escape: str) -> Arguments:
    """ARG: `name` or `name=value`, several."""
    return Arguments(tuple(split_words(rest, escape)))


def _env(rest: str, escape: str) -> Arguments:
    return _pairs("ENV", rest, escape)


def _label(rest: str, escape: str) -> Arguments:
    return _pairs("LABEL", rest, escape)


def _pairs(keyword: str, rest: str, escape: str) -> Arguments:
    words = split_words(rest, escape)
    if not words:
        return Arguments()
    if "=" not in words[0]:  # the old form: name value
        name, *value = _SPACES.split(rest, maxsplit=1)
        if not value:
            raise DockerfileError(f"{keyword} must have two arguments")
        return Arguments((name, value[0], ""))
    triples: list[str] = []
    for word in words:
        key, equals, value_text = word.partition("=")
        if not equals:
            raise DockerfileError(
                f"Syntax error - can't find = in {quote(word)}. Must be of the form: name=value"
            )
        triples += (key, value_text, "=")
    return Arguments(tuple(triples))


def _health(rest: str, escape: str) -> Arguments:
    if not rest:
        return Arguments()
    kind, _, command = _BYTE_SPACES.sub(" ", _as_bytes(rest), count=1).partition(" ")
    check = _json_or_whole(_as_text(command), escape)
    return Arguments((_as_text(kind), *check.words), json=check.json)


_PARSERS: dict[str, _Parser] = {
    "add": _json_or_spaced,
    "arg": _names,
    "cmd": _json_or_whole,
    "copy": _json_or_spaced,
    "entrypoint": _json_or_whole,
    "env": _env,
    "expose": _spaced,
    "from": _spaced,
    "healthcheck": _health,
    "label": _label,
    "maintainer": _whole,
    "run": _json_or_whole,
    "shell": _json_or_whole,
    "stopsignal": _whole,
    "user": _whole,
    "volume": _json_or_spaced,
    "workdir": _whole,
}
KEYWORDS = (*_PARSERS, "onbuild")
"""All instructions, in lower case."""
