"""What built-in functions take and give: `builtins.txt` is how OPA declares them.

`count(collection: any<string, array[any]>) n: number` is a function's name, what it takes, and what
it gives; `any<…>` is one of several types, `object<a: number>[string: any]` an object with known
fields and others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from croze.rego.check.types import (
    ANY,
    BOOLEAN,
    NULL,
    NUMBER,
    STRING,
    AnyType,
    ArrayType,
    FunctionType,
    SetType,
    Type,
    object_type,
)
from croze.rego.values import Value

_BASIC = {"null": NULL, "boolean": BOOLEAN, "number": NUMBER, "string": STRING}
_NAMED = re.compile(r"([\w ]+): ")
_WORD = re.compile(r"\w+")


@cache
def _declared() -> Mapping[str, str]:
    text = resources.files("croze.rego.check").joinpath("builtins.txt").read_text("utf-8")
    rows = (line.partition("(") for line in text.splitlines())
    return {name: "(" + rest for name, _, rest in rows}


def builtin(name: str) -> FunctionType | None:
    """The type of a built-in function; None if there is none of that name."""
    declared = _declared().get(name)
    return None if declared is None else signature(declared)


@cache
def signature(text: str) -> FunctionType:
    """The type that a line of the table says after the name. Raises ValueError."""
    return _SignatureReader(text).function()


class _SignatureReader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def function(self) -> FunctionType:
        self._expect("(")
        types: list[Type] = []
        names: list[str] = []
        while not self._take(")"):
            self._take(", ")
            names.append(self._name())
            types.append(self._type())
        self._expect(" ")
        names.append(self._name())
        result = self._type()
        if self._at != len(self._text):
            raise ValueError(f"no signature: {self._text}")
        return FunctionType(tuple(types), result, tuple(names) if any(names) else ())

    def _name(self) -> str:
        match = _NAMED.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return match[1] if match else ""

    def _type(self) -> Type:
        word = _WORD.match(self._text, self._at)
        kind = word[0] if word else ""
        self._at += len(kind)
        if kind in _BASIC:
            return _BASIC[kind]
        if kind == "object":
            return object_type(self._fields(), self._others())
        static = self._listed()
        if kind == "any":
            return AnyType(static) if static else ANY
        dynamic = self._type() if self._take("[") else None
        if dynamic is not None:
            self._expect("]")
        if kind == "array":
            return ArrayType(static, dynamic)
        if kind != "set":
            raise ValueError(f"no type at {self._at}: {self._text}")
        return SetType(dynamic)

    def _listed(self) -> tuple[Type, ...]:
        types: list[Type] = []
        if self._take("<"):
            while not self._take(">"):
                self._take(", ")
                types.append(self._type())
        return tuple(types)

    def _fields(self) -> list[tuple[Value, Type]]:
        fields: list[tuple[Value, Type]] = []
        if self._take("<"):
            while not self._take(">"):
                self._take(", ")
                fields.append((self._name(), self._type()))
        return fields

    def _others(self) -> tuple[Type, Type] | None:
        if not self._take("["):
            return None
        key = self._type()
        self._expect(": ")
        value = self._type()
        self._expect("]")
        return key, value

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise ValueError(f"no {text!r} at {self._at}: {self._text}")
