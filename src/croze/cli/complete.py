"""What may come next on a command line: `croze __complete WORD... BEGINNING`, as shells ask it.

The protocol is cobra's, so that the Docker CLI and its scripts ask a plugin in the same way: one
candidate a line, with what it is for behind a tab (`__completeNoDesc` leaves that out), and a colon
with a number that tells the shell what to do with them. Source: spf13/cobra `completions.go`;
docker/buildx `util/cobrautil/completion` for which commands complete what.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum

from msgspec import Struct

from croze.cli.common import Common, UsageError
from croze.cli.flags import Flags, described

REQUESTS = {"__complete": True, "__completeNoDesc": False}
"""Each request, and whether it wants to know what candidates are for."""
Candidates = list[tuple[str, str]]


class CompletionDirective(IntEnum):
    """What the shell does with candidates."""

    DEFAULT = 0
    """Names of files where there is none."""
    ERROR = 1
    NO_SPACE = 2
    NO_FILE_COMP = 4
    FILTER_DIRS = 16

    @property
    def shown(self) -> str:
        return "ShellCompDirective" + "".join(part.title() for part in self.name.split("_"))


_NOTHING: tuple[Candidates, CompletionDirective] = ([], CompletionDirective.NO_SPACE)
_SHELLS = {
    shell: f"Generate the autocompletion script for {shell}" for shell in ("bash", "fish", "zsh")
}
_NESTED = {"history inspect": {"attachment": "Inspect a build record attachment"}}


class _Place(Struct, frozen=True):
    """Where on the command line the cursor is: behind these words of commands, and these others."""

    path: tuple[str, ...]
    flags: Flags | None
    words: tuple[str, ...]
    """Behind the command."""

    @property
    def name(self) -> str:
        return " ".join(self.path)


def run(request: str, words: Sequence[str]) -> int:
    """Print the candidates for the last word."""
    *before, beginning = words or [""]
    try:
        candidates, directive = complete(before, beginning)
    except UsageError:
        candidates, directive = [], CompletionDirective.ERROR
    for name, about in candidates:
        line = about.partition("\n")[0].strip()
        print(f"{name}\t{line}" if line and REQUESTS[request] else name)
    print(f":{directive.value}", flush=True)
    print(f"Completion ended with directive: {directive.shown}", file=sys.stderr)
    return 0


def complete(before: Sequence[str], beginning: str) -> tuple[Candidates, CompletionDirective]:
    """What may come next after the words `before`, where `beginning` has been typed of it; and what
    the shell is to do. Raises `UsageError` for words that are no command line."""
    place = _place(before)
    taker = _open_flag(place, beginning)
    if taker is not None:
        name, value = taker
        if name == "--builder":
            return _starting(_builders(), value), CompletionDirective.NO_FILE_COMP
        return [], CompletionDirective.DEFAULT
    if beginning.startswith("-") and "--" not in place.words:
        return _starting(_flag_names(place, beginning), beginning), CompletionDirective.NO_FILE_COMP
    candidates, directive = _arguments(place)
    return _starting(candidates, beginning), directive


def _starting(candidates: Candidates, beginning: str) -> Candidates:
    return [one for one in candidates if one[0].startswith(beginning)]


def _place(before: Sequence[str]) -> _Place:
    from croze.cli.commands import HIDDEN

    path: list[str] = []
    rest = list(before)
    while commands := _commands(tuple(path)):
        word = _next_word(rest)
        if word is None:
            break
        word = _alias(word) if not path else word
        if word not in commands and (path or word not in HIDDEN):
            if " ".join(path) in _NESTED:
                rest.insert(0, word)
                break
            raise UsageError(f"unknown command: {word}", "croze")
        path.append(word)
    return _Place(tuple(path), flags_of(tuple(path)), tuple(rest))


def _next_word(rest: list[str]) -> str | None:
    """The next that is neither a flag nor a flag's value, taken from the front with all before."""
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            return word
        if word == "--builder":
            if not rest:
                rest.append(word)
                return None
            rest.pop(0)
    return None


def _alias(word: str) -> str:
    from croze.cli.commands import ALIASES

    return ALIASES.get(word, word)


def _commands(path: tuple[str, ...]) -> Mapping[str, str]:
    """What may follow, and what it is for; nothing for a command that has none of its own."""
    from croze.cli.commands import COMMANDS, load

    if not path:
        return {name: about for name, (_, about) in COMMANDS.items()}
    if path == ("help",):
        return {}
    if " ".join(path) in _NESTED:
        return _NESTED[" ".join(path)]
    if len(path) > 1:
        return {}
    commands: Mapping[str, str | tuple[str, ...]] = getattr(load(path[0]), "COMMANDS", {})
    return {n: entry if isinstance(entry, str) else entry[-1] for n, entry in commands.items()}


def flags_of(path: tuple[str, ...]) -> Flags | None:
    from croze.cli.commands import load

    if not path or (_commands(path) and " ".join(path) not in _NESTED):
        return None
    return described(lambda: load(path[0]).run(path[1:], Common()))


def _open_flag(place: _Place, beginning: str) -> tuple[str, str] | None:
    """The flag whose value is being written, and what there is of it."""
    takers = place.flags.names_with_value() if place.flags is not None else {"--builder"}
    name, equals, value = beginning.partition("=")
    if equals and name in takers:
        return name, value
    if place.words and place.words[-1] in takers and "--" not in place.words[:-1]:
        return place.words[-1], beginning
    return None


def _flag_names(place: _Place, beginning: str) -> Candidates:
    """The flags of all commands first; short ones only where nothing says that it is a long one."""
    if place.flags is None:
        common = {"--builder": "Override the configured builder instance"}
        common |= {"--debug": "Enable debug logging", "-D": "Enable debug logging"}
        common |= {"--help": "help for croze", "-h": "help for croze"}
        return list(common.items())
    shown: Candidates = []
    for action in place.flags.actions():
        if action.help is argparse.SUPPRESS or _is_given(action, place.words):
            continue
        names = sorted(action.option_strings, key=lambda name: not name.startswith("--"))
        about = "Show this message" if "--help" in names else action.help or ""
        shown += [(name, about) for name in names]
    if beginning.startswith("--"):
        return [one for one in shown if one[0].startswith("--")]
    return shown


def _is_given(action: argparse.Action, words: Sequence[str]) -> bool:
    """Whether it need not be given again."""
    repeated = isinstance(action.default, list)
    typed_names = {word.partition("=")[0] for word in words}
    return not repeated and not typed_names.isdisjoint(action.option_strings)


def _arguments(place: _Place) -> tuple[Candidates, CompletionDirective]:
    commands = _commands(place.path)
    if commands and place.flags is None:
        hidden = [] if place.path else [("help", "Help about any command")]
        candidates = sorted([*commands.items(), *hidden])
        return (
            candidates,
            CompletionDirective.NO_SPACE if place.path else CompletionDirective.NO_FILE_COMP,
        )
    match place.name:
        case "build":
            return [], CompletionDirective.FILTER_DIRS
        case "bake":
            return _targets(place.words)
        case "use" | "rm" | "stop" | "inspect":
            return _builders(), CompletionDirective.NO_FILE_COMP
        case "completion":
            return sorted(_SHELLS.items()), CompletionDirective.NO_FILE_COMP
    return sorted(commands.items()), CompletionDirective.NO_SPACE


def _builders() -> Candidates:
    from croze.builders import choose
    from croze.builders.known import known

    with known() as here:
        names = (each.name for each in choose.everybody(here.stored, here.contexts))
        return [(name, "") for name in dict.fromkeys(names)]


def _targets(words: Sequence[str]) -> tuple[Candidates, CompletionDirective]:
    """The targets of the definition that the command line names, or of the usual files."""
    from croze.cli.bake.list import target_names
    from croze.errors import CrozeError

    pairs = itertools.pairwise(words)
    names = [value for name, value in pairs if name in ("-f", "--file")]
    names += [word.partition("=")[2] for word in words if word.startswith(("--file=", "-f="))]
    if "-" in names:
        return [], CompletionDirective.ERROR
    try:
        return [(name, "") for name in target_names(names)], CompletionDirective.NO_FILE_COMP
    except (CrozeError, OSError):
        return [], CompletionDirective.ERROR
