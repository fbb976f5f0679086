"""Values of templates: how Go prints them, what is true, what is equal, what comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.gotypes.numbers import float_text
from croze.gotypes.template.lexer import TemplateError

NO_VALUE = "<no value>"


class Fields(dict[str, object]):
    """A struct: names and values in order, always true, printed as `{a b}`. `type_name` is what
    Go would call it in an error; `members` is its JSON, where that has other names. A plain dict
    is a map."""

    def __init__(
        self,
        values: Mapping[str, object],
        type_name: str = "struct",
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(values)
        self.type_name = type_name
        self.members = members


class Nil:
    """A pointer to a struct that is not there: never true, and without fields."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "<nil>"


_TYPES = (
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (bytes, "[]uint8"),
    (list, "[]interface {}"),
    (Mapping, "map[string]interface {}"),
)


def type_name(value: object) -> str:
    """What Go would call it."""
    if isinstance(value, Fields | Nil):
        return value.type_name
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "<nil>")


def is_true(value: object) -> bool:
    """Whether a value is not false, zero, nil or empty."""
    return True if isinstance(value, Fields) else bool(value)


def shown(value: object, *, top: bool = True) -> str:
    """A value as Go's `print` shows it."""
    if value is None:
        return NO_VALUE if top else "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, Fields):
        return "{" + " ".join(shown(one, top=False) for one in value.values()) + "}"
    if isinstance(value, Mapping):
        members = (f"{key}:{shown(value[key], top=False)}" for key in sorted(value))
        return f"map[{' '.join(members)}]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{' '.join(shown(one, top=False) for one in value)}]"
    return str(value)


def order(one: object, other: object) -> int:
    """Negative, zero or positive. Raises `TemplateError` for kinds that have no order."""
    if isinstance(one, bool) or isinstance(other, bool):
        raise TemplateError("invalid type for comparison")
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return (one > other) - (one < other)
    raise TemplateError("incompatible types for comparison")


def equal(one: object, other: object) -> bool:
    """Whether two values are equal. Raises `TemplateError` for values of different kinds."""
    if one is None or other is None:
        return one is other
    if isinstance(one, bool) != isinstance(other, bool) or isinstance(one, str) != isinstance(
        other, str
    ):
        raise TemplateError("incompatible types for comparison")
    return bool(one == other)
