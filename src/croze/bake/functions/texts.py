"""Functions of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from croze.bake.functions.support import amount, function, of_texts, parameter, text, whole
from croze.bake.hcl.function import ArgumentError, CallError, Function
from croze.bake.hcl.graphemes import clusters, count
from croze.bake.values.types import LIST_OF_STRING, NUMBER, STRING
from croze.bake.values.value import Value, integer, list_value, string
from croze.gotypes.strings import SPACE

_LONGEST: Final = 16 * 1024 * 1024


def _by_letter(source: str, upper: bool) -> str:
    """Upper or lower case letter by letter, as Go maps it: no letter becomes two."""
    changed = source.upper() if upper else source.lower()
    if source.isascii():
        return changed
    letters = ((each, each.upper() if upper else each.lower()) for each in source)
    return "".join(new if len(new) == 1 else old for old, new in letters)


def _title(source: str) -> str:
    out: list[str] = []
    before = " "
    for each in source:
        out.append(_by_letter(each, True) if _separates(before) else each)
        before = each
    return "".join(out)


def _separates(letter: str) -> bool:
    if letter.isascii():
        return not (letter.isalnum() or letter == "_")
    return letter in SPACE


def _substr(args: Sequence[Value]) -> Value:
    source, offset, length = args[0].text, whole(args[1]), whole(args[2])
    if offset < 0:
        offset += count(source)
    elif length == 0:
        return string("")
    pieces = list(clusters(source)) if not source.isascii() else source
    if offset > 0:
        pieces = pieces[offset:]
    # A length of zero behind a negative offset is no limit: the original counts up from one.
    return string("".join(pieces if length <= 0 else islice(pieces, length)))


def _join(args: Sequence[Value]) -> Value:
    lists = args[1:]
    if not lists:
        raise CallError("at least one list is required")
    items: list[str] = []
    for at, each in enumerate(lists, 1):
        for index, item in enumerate(each.items):
            if item.is_null:
                where = f"element {index} of list {at}" if len(lists) > 1 else f"element {index}"
                raise ArgumentError(at, f"{where} is null; cannot concatenate null values")
            items.append(item.text)
    return string(args[0].text.join(items))


def _sort(args: Sequence[Value]) -> Value:
    for index, each in enumerate(args[0].items):
        if each.is_null:
            raise CallError(f"given list element {index} is null; a null string cannot be sorted")
    return list_value(sorted(args[0].items, key=lambda each: each.text.encode()), STRING)


def _split(args: Sequence[Value]) -> Value:
    separator, source = args[0].text, args[1].text
    pieces = source.split(separator) if separator else list(source)
    return list_value([string(each) for each in pieces], STRING)


def _indent(args: Sequence[Value]) -> Value:
    spaces, source = whole(args[0]), args[1].text
    if spaces < 0:
        raise CallError("panic in function implementation: strings: negative Repeat count")
    if spaces * (source.count("\n") + 1) > _LONGEST:
        raise CallError("the result is too long")
    return string(source.replace("\n", "\n" + " " * spaces))


def _replace(source: str, old: str, new: str) -> str:
    if source.count(old) * len(new) > _LONGEST:
        raise CallError("the result is too long")
    return source.replace(old, new)


def _sanitize(source: str) -> str:
    """What a target may be called."""
    return "".join(
        each if each.isascii() and (each.isalnum() or each in "_-") else "_" for each in source
    )


FUNCTIONS: Final[Mapping[str, Function]] = {
    "chomp": of_texts(lambda source: source.rstrip("\r\n"), "str"),
    "indent": function(_indent, amount("spaces"), text("str"), returns=STRING),
    "join": function(
        _join, text("separator"), returns=STRING, variadic=parameter("lists", LIST_OF_STRING)
    ),
    "lower": of_texts(lambda source: _by_letter(source, False), "str"),
    "replace": of_texts(_replace, "str", "substr", "replace"),
    "reverse": of_texts(lambda source: "".join(reversed(list(clusters(source)))), "str"),
    "sanitize": of_texts(_sanitize, "name"),
    "sort": function(_sort, parameter("list", LIST_OF_STRING), returns=LIST_OF_STRING),
    "split": function(_split, text("separator"), text("str"), returns=LIST_OF_STRING),
    "strlen": function(lambda args: integer(count(args[0].text)), text("str"), returns=NUMBER),
    "substr": function(_substr, text("str"), amount("offset"), amount("length"), returns=STRING),
    "title": of_texts(_title, "str"),
    "trim": of_texts(
        lambda source, cutset: source.strip(cutset) if cutset else source, "str", "cutset"
    ),
    "trimprefix": of_texts(lambda source, prefix: source.removeprefix(prefix), "str", "prefix"),
    "trimspace": of_texts(lambda source: source.strip(SPACE), "str"),
    "trimsuffix": of_texts(lambda source, suffix: source.removesuffix(suffix), "str", "suffix"),
    "upper": of_texts(lambda source: _by_letter(source, True), "str"),
}
