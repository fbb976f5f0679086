"""Parsing templates: quoted strings, heredocs, and texts that are templates as a whole."""

from __future__ import annotations

from abc import abstractmethod

from croze.bake.hcl import tokens as t
from croze.bake.hcl.literals import literal_text
from croze.bake.hcl.source import SourceRange, did_you_mean
from croze.bake.hcl.stream import TokenStream
from croze.bake.hcl.syntax import Expression, Literal, Template, Wrapped
from croze.bake.hcl.template_tokens import (
    EndPiece,
    ForPiece,
    IfPiece,
    InterpolationPiece,
    Piece,
    TextPiece,
    flush,
    meld,
)
from croze.bake.hcl.template_tree import TemplateTree
from croze.bake.hcl.tokens import HclToken
from croze.bake.values.value import string
from croze.gotypes.quote import quote
from croze.gotypes.strings import SPACE

_DIRECTIVES = ("if", "for", "else", "endif", "endfor")
_ESCAPE_HINT = (
    "Expected a closing brace to end the interpolation expression, but found extra characters.\n\n"
    "This can happen when you include interpolation syntax for another language, "
    "such as shell scripting, "
    "but forget to escape the interpolation start token. If this is an embedded "
    "sequence for another "
    'language, escape it by starting with "$${" instead of just "${".'
)
_COLON_HINT = (
    "Template interpolation doesn't expect a colon at this location. Did you intend "
    "this to be a literal "
    "sequence to be processed as part of another language? If so, you can escape it "
    "by starting with "
    '"$${" instead of just "${".'
)


class TemplateParser(TokenStream):
    """The part of the parser that knows templates."""

    @abstractmethod
    def parse_expression(self) -> Expression: ...

    def parse_quoted(self) -> Expression:
        """A quoted string or a heredoc, whose opening token is next."""
        open_token = self.read()
        closer = t.OPPOSITE[open_token.kind]
        if closer == t.CLOSE_QUOTE and self.ahead.kind == t.QUOTED:
            simple = self._parse_simple(open_token)
            if simple is not None:
                return simple
        flushed = open_token.kind == t.OPEN_HEREDOC and open_token.text.startswith("<<-")
        parts, passes_through, _ = self._parse_parts(closer, flushed)
        span = open_token.range.to(self.previous_range())
        return Wrapped(parts[0], span) if passes_through else Template(parts, span)

    def _parse_simple(self, open_token: HclToken) -> Expression | None:
        """The commonest template, a text without anything in it, on a short way."""
        text, after = self.ahead, self.tokens[self._next_index]
        if after.kind != t.CLOSE_QUOTE:
            return None
        self.read()
        self.read()
        literal = Literal(string(literal_text(text, self.problems)), text.range)
        return Template([literal], open_token.range.to(after.range))

    def parse_template(self) -> Expression:
        """A text that is a template from end to end."""
        parts, passes_through, span = self._parse_parts(t.EOF, False)
        return Wrapped(parts[0], span) if passes_through else Template(parts, span)

    def _parse_parts(self, end: str, flushed: bool) -> tuple[list[Expression], bool, SourceRange]:
        start = self.ahead.range
        pieces, end_range = self._parse_pieces(end)
        if not pieces:
            pieces.append(TextPiece("", start.at_end()))
        pieces.append(EndPiece("", end_range))
        if flushed:
            flush(pieces)
        pieces = meld(pieces)
        parts = TemplateTree(pieces, self.problems).parse()
        passes_through = len(pieces) == 2 and isinstance(pieces[0], InterpolationPiece)
        return parts, passes_through, start.to(end_range)

    def _parse_pieces(self, end: str) -> tuple[list[Piece], SourceRange]:
        pieces: list[Piece] = []
        start = self.ahead.range
        trim_next = False
        can_trim = False
        while True:
            token = self.read()
            if token.kind == end:
                return pieces, token.range
            if token.kind in (t.TEXT, t.QUOTED):
                text = literal_text(token, self.problems)
                pieces.append(TextPiece(text.lstrip(SPACE) if trim_next else text, token.range))
                trim_next, can_trim = False, True
                continue
            if token.kind not in (t.INTERPOLATION, t.CONTROL):
                if not self.recovering:
                    detail = "No closing marker was found for the string."
                    self.error("Unterminated template string", detail, token.range)
                return pieces, self.recover(end).range
            last = pieces[-1] if pieces else None
            if can_trim and token.text.endswith("~") and isinstance(last, TextPiece):
                last.text = last.text.rstrip(SPACE)
            can_trim = False
            self.push_newlines(False)
            read = self._interpolation if token.kind == t.INTERPOLATION else self._directive
            trim_next = read(token, start, end, pieces)
            self.pop_newlines()

    def _interpolation(
        self, token: HclToken, start: SourceRange, end: str, pieces: list[Piece]
    ) -> bool:
        """Reads `expression }`; whether the following text loses its leading space."""
        expression = self.parse_expression()
        close = self.ahead
        if close.kind == t.SEQUENCE_END:
            self.read()
        else:
            if not self.recovering:
                self._unclosed(close, start, end)
            self.recover(t.SEQUENCE_END)
        pieces.append(InterpolationPiece(expression, token.range.to(close.range)))
        return close.kind == t.SEQUENCE_END and close.text == "~}"

    def _unclosed(self, close: HclToken, start: SourceRange, end: str) -> None:
        summary = "Unclosed template interpolation sequence"
        place = ""
        if close.kind == t.EOF:
            place = "file"
        elif close.kind in (t.CLOSE_QUOTE, t.OPEN_QUOTE) and end == t.CLOSE_QUOTE:
            place = "quoted template"
        if place:
            detail = (
                "There is no closing brace for this interpolation sequence before the "
                f"end of the {place}."
            )
            self.error(
                summary,
                f"{detail} This might be caused by incorrect nesting inside the given expression.",
                start,
            )
            return
        detail = _COLON_HINT if close.kind == ":" else _ESCAPE_HINT
        self.error("Extra characters after interpolation expression", detail, close.range)

    def _directive(
        self, token: HclToken, start: SourceRange, end: str, pieces: list[Piece]
    ) -> bool:
        """Reads `keyword ... }`; whether the following text loses its leading space."""
        word = self.ahead
        if word.kind != t.IDENT:
            return self._bad_directive(
                "Invalid template directive",
                'A template directive keyword ("if", "for", etc) is expected at the '
                "beginning of a %{ sequence.",
                word.range,
            )
        self.read()
        if word.text == "if":
            condition = self.parse_expression()
            pieces.append(IfPiece(condition, token.range.to(self.ahead.range)))
        elif word.text in ("else", "endif", "endfor"):
            pieces.append(EndPiece(word.text, token.range.to(self.ahead.range)))  # type: ignore[arg-type]
        elif word.text == "for":
            if not self._for_directive(token, pieces):
                return False
        else:
            detail = f"{quote(word.text)} is not a valid template control keyword."
            detail += did_you_mean(word.text, _DIRECTIVES)
            return self._bad_directive("Invalid template control keyword", detail, word.range)
        close = self.ahead
        if close.kind == t.SEQUENCE_END:
            self.read()
            return close.text == "~}"
        if not self.recovering:
            detail = "Expected a closing brace to end the sequence, but found extra characters."
            self.error(f"Extra characters in {word.text} marker", detail, close.range)
        self.recover(t.SEQUENCE_END)
        return False

    def _bad_directive(self, summary: str, detail: str, subject: SourceRange) -> bool:
        if not self.recovering:
            self.error(summary, detail, subject)
        self.recover(t.SEQUENCE_END)
        return False

    def _for_directive(self, token: HclToken, pieces: list[Piece]) -> bool:
        names: list[str] = []
        for problem in ("variable name after 'for'", "value variable name after comma"):
            if self.ahead.kind != t.IDENT:
                detail = f"For directive requires {problem}."
                return self._bad_directive("Invalid 'for' directive", detail, self.ahead.range)
            names.append(self.read().text)
            if self.ahead.kind != "," or len(names) == 2:
                break
            self.read()
        if not self.ahead.is_keyword("in"):
            detail = "For directive requires 'in' keyword after names."
            return self._bad_directive("Invalid 'for' directive", detail, self.ahead.range)
        self.read()
        collection = self.parse_expression()
        span = token.range.to(self.ahead.range)
        pieces.append(ForPiece(names[0] if len(names) == 2 else "", names[-1], collection, span))
        return True

    def parse_label(self) -> tuple[str, SourceRange]:
        """A quoted string without template sequences; reads to its closing quote at least."""
        open_token = self.read()
        out: list[str] = []
        while True:
            token = self.read()
            if token.kind == t.QUOTED:
                out.append(literal_text(token, self.problems))
                continue
            if token.kind in (t.INTERPOLATION, t.CONTROL):
                mark = "%" if token.kind == t.CONTROL else "$"
                detail = "Template sequences are not allowed in this string. To include a literal "
                detail += f'"{mark}", double it (as "{mark}{mark}") to escape it.'
                self.error("Invalid string literal", detail, token.range)
                out.append(mark + "{ ... }")
                self.recover(t.SEQUENCE_END)
                continue
            if token.kind == t.EOF:
                detail = "Unable to find the closing quote mark before the end of the file."
                self.error("Unterminated string literal", detail, token.range)
            elif token.kind != t.CLOSE_QUOTE:
                self.error(
                    "Invalid string literal",
                    "This item is not valid in a string literal.",
                    token.range,
                )
                self.recover(t.CLOSE_QUOTE)
            return "".join(out), open_token.range.to(token.range)
