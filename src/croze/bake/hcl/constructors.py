"""Parsing tuples, objects, and the `for` expressions that make them."""

from __future__ import annotations

from croze.bake.hcl import tokens as t
from croze.bake.hcl.source import SourceRange
from croze.bake.hcl.syntax import (
    Broken,
    Expression,
    For,
    Literal,
    ObjectExpression,
    ObjectKey,
    Tuple,
)
from croze.bake.hcl.templates import TemplateParser
from croze.bake.hcl.tokens import HclToken
from croze.bake.values.value import DYNAMIC_VALUE

_NESTING = "This may be caused by incorrect {0} nesting elsewhere in this file."
_NO_END = "There is no corresponding closing {0} before the end of the file. " + _NESTING
_INVALID_FOR = "Invalid 'for' expression"
_QUOTED_NAME = (
    'Expected an equals sign ("=") to mark the beginning of the attribute value. If '
    "you intended to given an "
    "attribute name containing periods or spaces, write the name in quotes to create "
    "a string literal."
)


class ConstructorParser(TemplateParser):
    """The part of the parser that knows what is in brackets and braces."""

    def parse_tuple(self) -> Expression:
        open_token = self.read()
        self.push_newlines(False)
        try:
            if self.ahead.is_keyword("for"):
                return self._parse_for(open_token)
            return self._parse_tuple(open_token)
        finally:
            self.pop_newlines()

    def _parse_tuple(self, open_token: HclToken) -> Expression:
        items: list[Expression] = []
        while True:
            if self.ahead.kind == "]":
                close = self.read()
                break
            mark = len(self.problems)
            items.append(self.parse_expression())
            if self.lost(mark):
                close = self.recover("]")
                break
            following = self.ahead
            if following.kind == "]":
                close = self.read()
                break
            if following.kind != ",":
                self._no_separator(open_token, following)
                close = self.recover("]")
                break
            self.read()
        return Tuple(items, open_token.range.to(close.range), open_token.range)

    def _no_separator(self, open_token: HclToken, following: HclToken) -> None:
        if self.recovering:
            return
        if following.kind == t.EOF:
            self.error(
                "Unterminated tuple constructor expression",
                _NO_END.format("bracket"),
                open_token.range,
            )
        else:
            detail = "Expected a comma to mark the beginning of the next item."
            self.error("Missing item separator", detail, following.range)

    def parse_object(self) -> Expression:
        open_token = self.read()
        self.push_newlines(False)
        is_for = self.ahead.is_keyword("for")
        self.pop_newlines()
        if is_for:
            return self._parse_for(open_token)
        self.push_newlines(True)
        items: list[tuple[ObjectKey, Expression]] = []
        close = self._parse_items(open_token, items)
        self.pop_newlines()
        return ObjectExpression(items, open_token.range.to(close.range), open_token.range)

    def _parse_items(
        self, open_token: HclToken, items: list[tuple[ObjectKey, Expression]]
    ) -> HclToken:
        """Items up to the closing brace, which is returned, or what stands in for it after an
        error."""
        while True:
            following = self.ahead
            if following.kind == t.NEWLINE:
                self.read()
                continue
            if following.kind == "}":
                return self.read()
            mark = len(self.problems)
            key = self._parse_key(open_token)
            if key is None:
                return self.recover("}")
            value = self.parse_expression()
            if self.lost(mark):
                if isinstance(value, Broken):
                    items.append((key, value))
                return self.recover("}")
            items.append((key, value))
            following = self.ahead
            if following.kind == "}":
                return self.read()
            if following.kind not in (",", t.NEWLINE):
                self._no_item_separator(open_token, following)
                return self.recover("}")
            self.read()

    def _parse_key(self, open_token: HclToken) -> ObjectKey | None:
        """`key =` or `key :`; None after an error."""
        computed = self.ahead.kind == "("
        mark = len(self.problems)
        wrapped = self.parse_expression()
        if self.lost(mark):
            return None
        following = self.ahead
        if following.kind in ("=", ":"):
            self.read()
            return ObjectKey(wrapped, computed)
        if not self.recovering:
            self._no_value(open_token, following)
        return None

    def _no_value(self, open_token: HclToken, following: HclToken) -> None:
        summary = "Missing key/value separator"
        if following.kind == t.EOF:
            self._no_end(open_token)
        elif following.kind in (t.NEWLINE, ","):
            detail = 'Expected an attribute value, introduced by an equals sign ("=").'
            self.error("Missing attribute value", detail, following.range)
        elif following.kind == t.IDENT:
            self.error(summary, _QUOTED_NAME, following.range)
        else:
            detail = 'Expected an equals sign ("=") to mark the beginning of the attribute value.'
            self.error(summary, detail, following.range)

    def _no_end(self, open_token: HclToken) -> None:
        self.error(
            "Unterminated object constructor expression", _NO_END.format("brace"), open_token.range
        )

    def _no_item_separator(self, open_token: HclToken, following: HclToken) -> None:
        if self.recovering:
            return
        if following.kind == t.EOF:
            self._no_end(open_token)
        else:
            detail = "Expected a newline or comma to mark the beginning of the next attribute."
            self.error("Missing attribute separator", detail, following.range)

    def _parse_for(self, open_token: HclToken) -> Expression:
        self.push_newlines(False)
        try:
            parsed = self._parse_loop(open_token)
        finally:
            self.pop_newlines()
        if parsed is not None:
            return parsed
        close = self.recover(t.OPPOSITE[open_token.kind])
        return Literal(DYNAMIC_VALUE, open_token.range.to(close.range))

    def _for_problem(self, detail: str, subject: SourceRange) -> None:
        if not self.recovering:
            self.error(_INVALID_FOR, detail, subject)

    def _parse_names(self) -> tuple[str, str] | None:
        """`for a in` or `for a, b in`: the names of key and value; None after an error."""
        self.read()
        names: list[str] = []
        for problem in ("variable name after 'for'", "value variable name after comma"):
            if self.ahead.kind != t.IDENT:
                self._for_problem(f"For expression requires {problem}.", self.ahead.range)
                return None
            names.append(self.read().text)
            if self.ahead.kind != "," or len(names) == 2:
                break
            self.read()
        if not self.ahead.is_keyword("in"):
            detail = "For expression requires the 'in' keyword after its name declarations."
            self._for_problem(detail, self.ahead.range)
            return None
        self.read()
        return (names[0] if len(names) == 2 else ""), names[-1]

    def _parse_loop(self, open_token: HclToken) -> Expression | None:
        names = self._parse_names()
        if names is None:
            return None
        mark = len(self.problems)
        collection = self.parse_expression()
        if self.lost(mark):
            return None
        if self.ahead.kind != ":":
            detail = "For expression requires a colon after the collection expression."
            self._for_problem(detail, self.ahead.range)
            return None
        self.read()
        key: Expression | None = None
        value = self.parse_expression()
        if self.ahead.kind == "=>":
            self.read()
            key, value = value, self.parse_expression()
        if self.lost(mark):
            return None
        ellipsis = self.read() if self.ahead.kind == "..." else None
        condition: Expression | None = None
        if self.ahead.is_keyword("if"):
            self.read()
            condition = self.parse_expression()
            if self.lost(mark):
                return None
        close = self._close_for(open_token)
        self._check_for(open_token, key, value, ellipsis)
        return For(
            *names,
            collection,
            key,
            value,
            condition,
            ellipsis is not None,
            open_token.range.to(close.range),
            open_token.range,
        )

    def _close_for(self, open_token: HclToken) -> HclToken:
        close_kind = t.OPPOSITE[open_token.kind]
        if self.ahead.kind == close_kind:
            return self.read()
        self._for_problem(
            "Extra characters after the end of the 'for' expression.", self.ahead.range
        )
        return self.recover(close_kind)

    def _check_for(
        self,
        open_token: HclToken,
        key: Expression | None,
        value: Expression,
        ellipsis: HclToken | None,
    ) -> None:
        if open_token.kind == "{":
            if key is None:
                detail = "Key expression is required when building an object."
                self.error(_INVALID_FOR, detail, value.range)
            return
        if key is not None:
            detail = "Key expression is not valid when building a tuple."
            self.error(_INVALID_FOR, detail, key.range)
        if ellipsis is not None:
            detail = "Grouping ellipsis (...) cannot be used when building a tuple."
            self.error(_INVALID_FOR, detail, ellipsis.range)
