"""The syntax tree: one node per instruction, arguments still plain text."""

from __future__ import annotations

from msgspec import Struct

from croze.dockerfile.location import Ranges, line_ranges


class Heredoc(Struct, frozen=True):
    """A document in the text: `content` as written, `expand` unless its word was quoted, `chomp`
    for `<<-`."""

    name: str
    fd: int = 0
    expand: bool = True
    chomp: bool = False
    content: str = ""


class InstructionNode(Struct, frozen=True):
    """An instruction. `name` is the keyword as written, `original` the joined line."""

    name: str
    original: str
    args: tuple[str, ...] = ()
    """For ENV and LABEL three per pair: key, value, separator (`=` or empty)."""
    trigger: InstructionNode | None = None
    """ONBUILD's own instruction, without lines."""
    flags: tuple[str, ...] = ()
    json: bool = False
    """The arguments came as a JSON array."""
    start_line: int = 0
    end_line: int = 0
    comments: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()

    @property
    def location(self) -> Ranges:
        return line_ranges(self.start_line, self.end_line)


class ParseWarning(Struct, frozen=True):
    """Something the parser tolerates for now."""

    short: str
    detail: tuple[str, ...]
    url: str
    location: Ranges


class ParseResult(Struct, frozen=True):
    """A parsed file. `escape` is the escape character in force."""

    ast: tuple[InstructionNode, ...]
    escape: str
    warnings: tuple[ParseWarning, ...]
