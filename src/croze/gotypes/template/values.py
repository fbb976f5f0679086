"""Values of templates: how Go prints them, what is true, what is equal, what comes first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from croze.gotypes.numbers import float_text
from croze.gotypes.template.lexer import TemplateError

NO_VALUE = "<no value>"
ANY = "interface {}"
"""The Go type that everything has."""


class _Missing:
    """What a map gives for a key that it has not: less than nil, as nothing of it is an error."""

    def __bool__(self) -> bool:
        return False


MISSING = _Missing()


class Fields(dict[str, object]):
    """A struct: names and values in order, always true, printed as `{a b}`. `type_name` is what
    Go would call it in an error; `members` is its JSON, where that has other names; `promoted`
    are the fields that it has of a struct within it. A plain dict is a map."""

    def __init__(
        self,
        values: Mapping[str, object],
        type_name: str = "struct",
        members: Mapping[str, object] | None = None,
        promoted: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(values)
        self.type_name = type_name
        self.members = members
        self._promoted = promoted or {}

    def field(self, name: str) -> object:
        """A field of its own, or one of a struct within it; `MISSING` for none."""
        return self[name] if name in self else self._promoted.get(name, MISSING)


class TypedMap(dict[str, object]):
    """A map of which Go knows what it holds. `absent` is what `index` finds under other keys."""

    def __init__(self, values: Mapping[str, object], element: str, absent: object) -> None:
        super().__init__(values)
        self.type_name = f"map[string]{element}"
        self.absent = absent


class Nil:
    """A pointer to a struct that is not there: never true, and without fields."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "<nil>"


class Texts(list[str]):
    """A list that Go knows to be of texts."""

    type_name = "[]string"


class NilTexts(Texts):
    """Such a list that nobody has made: empty, and in JSON `null`."""


class TemplateMethod(Struct, frozen=True):
    """What a value can be asked for, and the Go types of what that takes."""

    call: Callable[..., object]
    takes: tuple[str, ...] = ()


class HasMethods(ABC):
    """A value of a Go type that has methods, and a text of its own. A mixin."""

    type_name: str
    """What Go calls the type."""

    @property
    @abstractmethod
    def plain(self) -> object:
        """The value as JSON has it."""

    @abstractmethod
    def methods(self) -> Mapping[str, TemplateMethod]:
        """The methods by name."""


_TYPES = (
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
    (complex, "complex128"),
    (str, "string"),
    (bytes, "[]uint8"),
    (list, "[]interface {}"),
    (tuple, "[]interface {}"),
    (Mapping, "map[string]interface {}"),
)


def type_name(value: object) -> str:
    """What Go would call it."""
    if isinstance(value, Fields | TypedMap | Nil | HasMethods | Texts):
        return value.type_name
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "<nil>")


def is_true(value: object) -> bool:
    """Whether a value is not false, zero, nil or empty."""
    return True if isinstance(value, Fields) else bool(value)


def is_struct_pointer(value: object) -> bool:
    """Whether Go's `print` and `printf` put `&` before a value."""
    return isinstance(value, Fields) and value.type_name.startswith("*")


def shown(value: object, *, top: bool = True) -> str:
    """A value as Go's `print` shows it."""
    if value is None or value is MISSING:
        return NO_VALUE if top else "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, complex):
        sign = "" if (text := float_text(value.imag)).startswith(("-", "+")) else "+"
        return f"({float_text(value.real)}{sign}{text}i)"
    if isinstance(value, Fields):
        return "{" + " ".join(shown(one, top=False) for one in value.values()) + "}"
    if isinstance(value, Mapping):
        members = (f"{key}:{shown(value[key], top=False)}" for key in sorted(value))
        return f"map[{' '.join(members)}]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{' '.join(shown(one, top=False) for one in value)}]"
    return str(value)


def _kind(value: object) -> type[object] | None:
    """What values are compared as; None for what has no order."""
    return next((kind for kind in _BASIC if isinstance(value, kind)), None)


def _incompatible(one: object, other: object) -> TemplateError:
    return TemplateError(
        f"incompatible types for comparison: {type_name(one)} and {type_name(other)}"
    )


def order(one: object, other: object) -> int:
    """Negative, zero or positive. Raises `TemplateError` for kinds that have no order."""
    kinds = _kind(one), _kind(other)
    if None in kinds:
        raise TemplateError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise _incompatible(one, other)
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    if isinstance(one, int | float) and isinstance(other, int | float) and kinds[0] is not bool:
        return (one > other) - (one < other)
    raise TemplateError("invalid type for comparison")


def _is_nil(value: object) -> bool:
    return value is None or isinstance(value, Nil)


def _shape(value: object) -> str:
    """What is not basic is compared with its like alone."""
    if isinstance(value, Fields | Nil):
        return "pointer" if value.type_name.startswith("*") else "struct"
    return "map" if isinstance(value, Mapping) else "slice"


def equal(one: object, other: object) -> bool:
    """Whether two values are equal. Raises `TemplateError` for values of different kinds, and for
    those that can't be compared."""
    if one is None or other is None:
        return _is_nil(one) and _is_nil(other)
    kinds = _kind(one), _kind(other)
    if kinds[0] != kinds[1]:
        raise _incompatible(one, other)
    if kinds[0] is not None:
        return one == other
    types = type_name(one), type_name(other)
    if _shape(one) != _shape(other):
        texts = shown(one, top=False), shown(other, top=False)
        sides = f"{texts[0]}: {types[0]}, {types[1]}: {texts[1]}"
        raise TemplateError(f"non-comparable types {sides}")
    if _is_nil(one) or _is_nil(other):
        return _is_nil(one) and _is_nil(other)
    if not isinstance(other, Fields):
        raise TemplateError(f"non-comparable type {shown(other, top=False)}: {types[1]}")
    return one == other


_BASIC: tuple[type[object], ...] = (bool, int, float, complex, str)
