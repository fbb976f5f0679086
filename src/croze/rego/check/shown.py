"""Terms as the messages of the checker write them."""

from __future__ import annotations

import re

from croze.gotypes.quote import quote
from croze.rego.syntax import (
    ArrayTerm,
    Call,
    Comprehension,
    ObjectTerm,
    RefTerm,
    Scalar,
    SetTerm,
    Term,
    Var,
)
from croze.rego.values import text

_WORD = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def shown(term: Term) -> str:
    """A term as OPA's error messages show it."""
    match term:
        case Scalar(value):
            return text(value)
        case Var():
            return "_" if term.name.startswith("_#") else term.shown
        case RefTerm(head, path):
            return shown(head) + "".join(map(_part, path))
        case ArrayTerm(items):
            return f"[{', '.join(map(shown, items))}]"
        case SetTerm(items):
            return f"{{{', '.join(map(shown, items))}}}" if items else "set()"
        case ObjectTerm(pairs):
            return f"{{{', '.join(f'{shown(key)}: {shown(value)}' for key, value in pairs)}}}"
        case Call(name, args):
            return f"{name}({', '.join(map(shown, args))})"
        case Comprehension(kind):
            return {"array": "[…]"}.get(kind, "{…}")
    return "$" + quote("…")


def _part(part: Term) -> str:
    if isinstance(part, Scalar) and isinstance(part.value, str) and _WORD.fullmatch(part.value):
        return f".{part.value}"
    return f"[{shown(part)}]"
