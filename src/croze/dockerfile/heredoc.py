"""Heredocs: `[fd]<<[-]word` in RUN, COPY and ADD."""

from __future__ import annotations

import re

from croze.dockerfile.location import DockerfileError
from croze.dockerfile.shell import ShellLex
from croze.dockerfile.syntax_tree import Heredoc
from croze.patterns import lazy_pattern

_MARK = lazy_pattern(r"([0-9]*)<<(-?)[\t\n\f\r ]*+([^<]*+)\Z")
_LEADING_TABS = lazy_pattern(r"^\t+", re.MULTILINE)
_MAX_FD = 2**64 - 1
_UNQUOTED = ShellLex("\\", skip_unset=True)
_QUOTED = ShellLex("\\", raw_quotes=True, skip_unset=True)
_LINE = ShellLex("\\", raw_quotes=True, raw_escapes=True, skip_unset=True)


def parse_heredoc(word: str) -> Heredoc | None:
    """The heredoc that a word announces, without content. Raises `DockerfileError` for a word that
    looks like one and has unbalanced quotes."""
    match = _MARK.match(word)
    if match is None or not match[3]:
        return None
    names = _UNQUOTED.expand_words(match[3], {})
    if len(names) != 1:
        return None
    raw = _QUOTED.expand_words(match[3], {})
    if len(raw) != 1:
        raise DockerfileError(
            f"internal lexing of heredoc produced inconsistent results: {match[3]}"
        )
    return Heredoc(
        name=names[0],
        fd=min(int(match[1] or "0"), _MAX_FD) if len(match[1]) < 30 else _MAX_FD,
        # Quotes that vanish mean that a part of the word was quoted.
        expand=_quotes(names[0]) == _quotes(raw[0]),
        chomp=match[2] == "-",
    )


def is_heredoc(word: str) -> bool:
    """Whether a word announces a heredoc; no error is one."""
    return find_heredoc(word) is not None


def find_heredoc(word: str) -> Heredoc | None:
    """`parse_heredoc` that takes a broken word for an ordinary one."""
    if "<<" not in word:
        return None
    try:
        return parse_heredoc(word)
    except DockerfileError:
        return None


def heredocs_in_line(line: str) -> list[Heredoc]:
    """All heredocs that an instruction's line announces, in order."""
    try:
        words = _LINE.expand_words(line, {})
    except DockerfileError:
        return []
    return [doc for word in words if "<<" in word and (doc := parse_heredoc(word)) is not None]


def chomp(content: str) -> str:
    """The text without the tabs at the start of lines."""
    return _LEADING_TABS.sub("", content)


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
