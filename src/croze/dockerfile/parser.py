"""Dockerfile text to a syntax tree: lines, continuations, comments, directives, heredocs.

The rules, odd ones included, are those of BuildKit's `frontend/dockerfile/parser`.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from croze.dockerfile.directives import BOM, DirectiveScanner
from croze.dockerfile.heredoc import heredocs_in_line
from croze.dockerfile.line_parsers import parse_line
from croze.dockerfile.lint_rules import NO_EMPTY_CONTINUATION
from croze.dockerfile.location import DockerfileError, line_ranges, with_location
from croze.dockerfile.syntax_tree import Heredoc, InstructionNode, ParseResult, ParseWarning
from croze.gotypes.strings import SPACE

__all__ = ["Heredoc", "InstructionNode", "ParseResult", "ParseWarning", "parse"]

_MAX_LINE_BYTES = 64 * 1024 - 1
_WITH_HEREDOC = ("add", "copy", "run")


def parse(data: bytes) -> ParseResult:
    """The syntax tree of a Dockerfile. Raises `DockerfileError` with its places."""
    return _Parser(data).parse()


class _Joined(Struct):
    """An instruction's lines joined, comments and continuation characters left out."""

    text: str
    start_line: int
    empty_continuation: bool = False


class _Parser:
    def __init__(self, data: bytes) -> None:
        self.lines, self.too_long = _split_lines(data.removeprefix(BOM))
        if data == BOM:
            self.lines = [""]
        self.line = 0
        """How many lines were read."""
        self.scanner = DirectiveScanner()
        self.escape = "\\"
        self.comments: list[str] = []
        self.nodes: list[InstructionNode] = []
        self.warnings: list[ParseWarning] = []

    def parse(self) -> ParseResult:
        while self.line < len(self.lines):
            joined = self._read_instruction()
            if joined is not None:
                self._add_node(joined)
        if not self.nodes:
            raise self._located(DockerfileError("file with no instructions"), self.line)
        if self.too_long:
            err = DockerfileError(
                f"dockerfile line greater than max allowed size of {_MAX_LINE_BYTES}"
            )
            raise self._located(err, self.line)
        return ParseResult(tuple(self.nodes), self.escape, tuple(self.warnings))

    def _read_instruction(self) -> _Joined | None:
        """The next instruction's lines; None for a comment or an empty line."""
        raw = self.lines[self.line]
        self._note_comment(raw)
        text = self._strip(raw).lstrip(SPACE)
        self._scan_directive(text)
        self.line += 1
        text, more = self._cut_continuation("" if _is_comment(text) else text)
        if not text and not more:
            return None
        joined = _Joined(text, self.line)
        parts = [text]
        while more and self.line < len(self.lines):
            text = self._strip(self.lines[self.line])
            self.line += 1
            if _is_comment(text):
                continue
            if not text.strip(SPACE):
                joined.empty_continuation = True
                continue
            text, more = self._cut_continuation(text)
            parts.append(text)
        joined.text = "".join(parts)
        return joined

    def _strip(self, line: str) -> str:
        return line.rstrip("\r\n")

    def _note_comment(self, line: str) -> None:
        """Remember comment lines for the instruction that follows; an empty one forgets them."""
        if not _is_comment(line):
            return
        # Only the first byte goes: of an indented comment the `#` stays.
        rest = line.encode("utf-8", "surrogateescape")[1:]
        comment = rest.decode("utf-8", "surrogateescape").strip(SPACE)
        if comment:
            self.comments.append(comment)
        else:
            self.comments.clear()

    def _scan_directive(self, text: str) -> None:
        if self.scanner.done:
            return
        try:
            directive = self.scanner.scan(text)
            if directive is None:
                return
            self.comments.pop()
            if directive.name == "escape":
                self._set_escape(directive.value)
        except DockerfileError as err:
            raise self._located(err, self.line) from None

    def _set_escape(self, value: str) -> None:
        if value not in ("\\", "`"):
            raise DockerfileError(f"invalid escape token '{value}' does not match ` or \\")
        self.escape = value

    def _cut_continuation(self, text: str) -> tuple[str, bool]:
        """The text without the escape character at its end, and whether there was one. A doubled
        one does not count."""
        cut = text.rstrip(" \t")
        if cut.endswith(self.escape) and cut[-2:-1] != self.escape:
            return cut[:-1], True
        return text, False

    def _add_node(self, joined: _Joined) -> None:
        start, line = joined.start_line, joined.text
        if joined.empty_continuation:
            self.warnings.append(_empty_continuation(line, self.line))
        try:
            node = parse_line(line, self.escape)
            heredocs = self._read_heredocs(node, line)
        except DockerfileError as err:
            raise with_location(err, line_ranges(start, self.line)) from None
        comments = tuple(self.comments)
        self.comments.clear()
        self.nodes.append(
            replace(
                node, start_line=start, end_line=self.line, comments=comments, heredocs=heredocs
            )
        )

    def _read_heredocs(self, node: InstructionNode, line: str) -> tuple[Heredoc, ...]:
        if "<<" not in line or not _can_hold_heredoc(node):
            return ()
        return tuple(self._read_heredoc(heredoc) for heredoc in heredocs_in_line(line))

    def _read_heredoc(self, heredoc: Heredoc) -> Heredoc:
        content: list[str] = []
        while self.line < len(self.lines):
            line = self.lines[self.line]
            self.line += 1
            end = self._strip(line)
            if (end.lstrip("\t") if heredoc.chomp else end) == heredoc.name:
                return replace(heredoc, content="".join(content))
            content.append(line)
        raise DockerfileError("unterminated heredoc")

    def _located(self, err: DockerfileError, line: int) -> DockerfileError:
        return with_location(err, line_ranges(line))


def _split_lines(data: bytes) -> tuple[list[str], bool]:
    """The lines with their ends, up to the first that is too long, and whether there is one."""
    raw = data.split(b"\n")
    if len(data) > _MAX_LINE_BYTES:
        for at, line in enumerate(raw):
            if len(line) > _MAX_LINE_BYTES:
                data = b"".join(part + b"\n" for part in raw[:at])
                return _split_lines(data)[0], True
    lines = [line + "\n" for line in data.decode("utf-8", "surrogateescape").split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1], False


def _is_comment(line: str) -> bool:
    return line.lstrip(SPACE).startswith("#")


def _can_hold_heredoc(node: InstructionNode) -> bool:
    if node.name.lower() == "onbuild" and node.trigger is not None:
        node = node.trigger
    return node.name.lower() in _WITH_HEREDOC and not node.json


def _empty_continuation(line: str, at: int) -> ParseWarning:
    return ParseWarning(
        f"Empty continuation line found in: {line}",
        (NO_EMPTY_CONTINUATION.description,),
        NO_EMPTY_CONTINUATION.url,
        line_ranges(at),
    )
