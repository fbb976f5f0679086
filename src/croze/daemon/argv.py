"""Command lines as Go programs read them: `-name`, `--name`, `--name=value`, `--name value`.

Source: Go's `flag` and urfave/cli, which buildkitd uses. A switch takes no word after it; words
that belong to no flag are passed over; `--` ends the flags.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from croze.errors import InvalidRequest

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True", ""})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def split(
    argv: Sequence[str], flags: Container[str], switches: Container[str]
) -> Mapping[str, list[str]]:
    """The values given to each flag, in order; a switch alone was given `true`. Raises
    `InvalidRequest` for an unknown flag, and for one without its value."""
    given: dict[str, list[str]] = {}
    words = iter(argv)
    for word in words:
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            continue
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if name not in flags:
            raise InvalidRequest(f"flag provided but not defined: -{name}")
        if not equals:
            value = "true" if name in switches else _next(words, word)
        given.setdefault(name, []).append(value)
    return given


def _next(words: Iterator[str], flag: str) -> str:
    for word in words:
        return word
    raise InvalidRequest(f"flag needs an argument: {flag}")


def boolean(text: str, name: str) -> bool:
    """Go's words for true and false. Raises `InvalidRequest`."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise InvalidRequest(f'invalid value "{text}" for flag -{name}: parse error')


def number(text: str, name: str) -> int:
    """A whole number, as Go's base 0 reads it. Raises `InvalidRequest`."""
    try:
        return int(text, 0)
    except ValueError:
        raise InvalidRequest(
            f'invalid value "{text}" for flag -{name}: strconv.ParseInt: parsing "{text}": '
            "invalid syntax"
        ) from None
