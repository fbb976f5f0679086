"""Parsing files: attributes and blocks."""

from __future__ import annotations

from croze.bake.hcl import tokens as t
from croze.bake.hcl.expressions import ExpressionParser
from croze.bake.hcl.invalid import check_tokens
from croze.bake.hcl.lexer import tokenize, tokenize_template
from croze.bake.hcl.source import Diagnostic, HclError, Pos, SourceRange
from croze.bake.hcl.syntax import Attribute, Block, Body, Broken, Expression
from croze.bake.hcl.tokens import HclToken
from croze.gotypes.quote import quote

_REQUIRED = "Argument or block definition required"
_NEEDED = "An argument or block definition is required here."
_NEEDED_EQUALS = (
    f'{_NEEDED} To set an argument, use the equals sign "=" to introduce the argument value.'
)
_INVALID_BLOCK = "Invalid block definition"
_INVALID_LINE = "Invalid single-argument block definition"
_UNCLOSED = (
    "Unclosed configuration block",
    "There is no closing brace for this block before the end of the file. This may "
    "be caused by incorrect "
    "brace nesting elsewhere in this file.",
)
_NO_BODY = {
    "=": (
        'The equals sign "=" indicates an argument definition, and must not be used when '
        "defining a block."
    ),
    t.NEWLINE: (
        'A block definition must have block content delimited by "{" and "}", starting '
        "on the same "
        "line as the block header."
    ),
}
_NO_LABEL = 'Either a quoted string block label or an opening brace ("{") is expected here.'
_LINE_END = {
    ",": (
        "Single-line block syntax can include only one argument definition. To define "
        "multiple arguments, "
        "use the multi-line block syntax with one argument definition per line."
    ),
    t.NEWLINE: (
        "An argument definition on the same line as its containing block creates a "
        "single-line block "
        "definition, which must also be closed on the same line. Place the block's "
        "closing brace immediately "
        "after the argument definition."
    ),
}


class _BodyParser(ExpressionParser):
    def parse_body(self, end: str) -> Body:
        attributes: dict[str, Attribute] = {}
        blocks: list[Block] = []
        start = self.previous_range()
        while True:
            following = self.ahead
            if following.kind == end:
                self.read()
                return Body(attributes, blocks, start.to(following.range))
            if following.kind == t.NEWLINE:
                self.read()
                continue
            if following.kind != t.IDENT:
                self._bad_item(end, start)
                end_range = self.previous_range()
                self.recover(end)
                return Body(attributes, blocks, start.to(end_range))
            item = self._parse_item()
            if isinstance(item, Block):
                blocks.append(item)
            elif item is not None:
                self._add(item, attributes)

    def _add(self, item: Attribute, attributes: dict[str, Attribute]) -> None:
        first = attributes.setdefault(item.name, item)
        if first is not item:
            detail = f"The argument {quote(item.name)} was already set at {first.name_range}. "
            detail += "Each argument may be set only once."
            self.error("Attribute redefined", detail, item.name_range)

    def _bad_item(self, end: str, start: SourceRange) -> None:
        bad = self.read()
        if self.recovering:
            return
        if bad.kind == t.OPEN_QUOTE:
            self.error("Invalid argument name", "Argument names must not be quoted.", bad.range)
        elif bad.kind == t.EOF and end == "}":
            self.error(*_UNCLOSED, start)
        else:
            self.error(_REQUIRED, _NEEDED, bad.range)

    def _parse_item(self) -> Attribute | Block | None:
        name = self.read()
        following = self.ahead.kind
        if following == "=":
            return self._parse_attribute(name, False)
        if following in (t.OPEN_QUOTE, "{", t.IDENT):
            self.descend()
            block = self._parse_block(name)
            self.ascend()
            return block
        self.recover_after_item()
        self.error(_REQUIRED, _NEEDED_EQUALS, name.range)
        return None

    def _parse_attribute(self, name: HclToken, single_line: bool) -> Attribute:
        self.read()
        mark = len(self.problems)
        expression = self.parse_expression()
        end = self.previous_range()
        if self.lost(mark):
            self.recover_after_item()
        elif not single_line:
            following = self.ahead
            if following.kind in (t.NEWLINE, t.EOF):
                self.read()
            else:
                self._no_newline(following)
                self.recover_after_item()
        return Attribute(name.text, expression, name.range.to(end), name.range)

    def _no_newline(self, following: HclToken) -> None:
        if self.recovering:
            return
        summary = "Missing newline after argument"
        detail = "An argument definition must end with a newline."
        if following.kind == ",":
            summary = "Unexpected comma after argument"
            detail = f"Argument definitions must be separated by newlines, not commas. {detail}"
        self.error(summary, detail, following.range)

    def _parse_block(self, name: HclToken) -> Block:
        labels: list[str] = []
        label_ranges: list[SourceRange] = []
        while (kind := self.ahead.kind) in (t.OPEN_QUOTE, t.IDENT):
            if kind == t.IDENT:
                token = self.read()
                label, label_range = token.text, token.range
            else:
                label, label_range = self.parse_label()
            labels.append(label)
            label_ranges.append(label_range)
        if kind != "{":
            self._no_body()
            empty = Body({}, [], name.range)
            return Block(name.text, labels, empty, name.range, label_ranges, name.range)
        opening = self.read()
        body = self._parse_block_body(opening)
        self._end_block()
        return Block(name.text, labels, body, name.range, label_ranges, opening.range)

    def _no_body(self) -> None:
        token = self.ahead
        detail = _NO_BODY.get(token.kind)
        if detail is not None or not self.recovering:
            self.error(_INVALID_BLOCK, detail or _NO_LABEL, token.range)
        self.recover_after_item()

    def _parse_block_body(self, opening: HclToken) -> Body:
        if self.ahead.kind in (t.NEWLINE, t.EOF, "}"):
            return self.parse_body("}")
        mark = len(self.problems)
        body = self._parse_line()
        inner = self.problems[mark:]
        del self.problems[mark:]
        self._end_line(opening)
        self.problems.extend(inner)
        return body or Body({}, [], opening.range.to(self.previous_range()))

    def _parse_line(self) -> Body | None:
        """The single attribute of `block { name = value }`."""
        name = self.read()
        following = self.ahead
        if name.kind == t.IDENT and following.kind == "=":
            attribute = self._parse_attribute(name, True)
            return Body({name.text: attribute}, [], attribute.range)
        self.recover_after_item()
        if name.kind == t.IDENT and following.kind in (t.OPEN_QUOTE, "{", t.IDENT):
            detail = (
                "A single-line block definition can contain only a single argument. "
                "If you meant to define "
                f"argument {quote(name.text)}, use an equals sign to assign it a "
                "value. To define a nested "
                "block, place it on a line of its own within its parent block."
            )
            self.error("Argument definition required", detail, name.range.to(following.range))
        else:
            self.error(_REQUIRED, _NEEDED_EQUALS if name.kind == t.IDENT else _NEEDED, name.range)
        return None

    def _end_line(self, opening: HclToken) -> None:
        token = self.ahead
        if token.kind == "}":
            self.read()
            return
        detail = _LINE_END.get(token.kind)
        if detail is not None:
            self.error(_INVALID_LINE, detail, token.range)
        elif not self.recovering and token.kind == t.EOF:
            self.error(*_UNCLOSED, opening.range)
        elif not self.recovering:
            detail = (
                "A single-line block definition must end with a closing brace "
                "immediately after its single "
                "argument definition."
            )
            self.error(_INVALID_LINE, detail, token.range)
        self.recover("}")

    def _end_block(self) -> None:
        token = self.ahead
        if token.kind in (t.NEWLINE, t.EOF):
            self.read()
            return
        if not self.recovering:
            detail = "A block definition must end with a newline."
            self.error("Missing newline after block definition", detail, token.range)
        self.recover_after_item()


def parse_file(text: str, filename: str) -> Body:
    """The tree of a file in native syntax; HclError with all that is wrong with it."""
    tokens = tokenize(text, filename)
    problems = check_tokens(tokens)
    body = _BodyParser(tokens, problems).parse_body(t.EOF)
    if problems:
        raise HclError(problems)
    return body


def parse_expression(
    text: str, filename: str, start: Pos, problems: list[Diagnostic]
) -> Expression:
    """The tree of an expression that stands alone; adds what is wrong with it to `problems`."""
    tokens = tokenize(text, filename, start)
    problems.extend(check_tokens(tokens))
    parser = _BodyParser(tokens, problems)
    parser.push_newlines(False)
    try:
        expression = parser.parse_expression()
    except HclError:
        return _broken(tokens, problems)
    following = parser.ahead
    if following.kind != t.EOF and not parser.recovering:
        detail = "An expression was successfully parsed, but extra characters were found after it."
        parser.error("Extra characters after expression", detail, following.range)
    return expression


def parse_template(text: str, filename: str, start: Pos, problems: list[Diagnostic]) -> Expression:
    """The tree of a text that is one template; adds what is wrong with it to `problems`."""
    tokens = tokenize_template(text, filename, start)
    problems.extend(check_tokens(tokens))
    try:
        return _BodyParser(tokens, problems).parse_template()
    except HclError:
        return _broken(tokens, problems)


def _broken(tokens: list[HclToken], problems: list[Diagnostic]) -> Expression:
    return Broken(problems[-1:], tokens[0].range.to(tokens[-1].range))
