"""Paths into documents: filters, removals, patches (RFC 6902)."""

from __future__ import annotations

from collections.abc import Sequence

from croze.rego.builtins.operands import array, items, obj
from croze.rego.errors import FunctionError
from croze.rego.unknowns import Missing, step
from croze.rego.values import Object, Value, text

Path = tuple[Value, ...]


def parse_path(value: Value) -> Path:
    """A JSON pointer, or an array of its parts."""
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str):
        raise FunctionError("must be one of {set, array} containing string paths")
    if not value:
        return ()
    parts = value.lstrip("/").split("/")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _paths(value: Value) -> list[Path]:
    return [parse_path(each) for each in items(value)]


def _under(paths: Sequence[Path]) -> dict[Value, list[Path]]:
    """Paths by their first part."""
    out: dict[Value, list[Path]] = {}
    for path in paths:
        if path:
            out.setdefault(path[0], []).append(path[1:])
    return out


def json_filter(value: Value, paths: Value) -> Value:
    return _filtered(obj(value), _paths(paths))


def _filtered(value: Value, paths: Sequence[Path]) -> Value:
    if any(not path for path in paths):
        return value
    tree = _under(paths)
    match value:
        case Object():
            return Object((k, _filtered(v, tree[k])) for k, v in value.items() if k in tree)
        case tuple():
            return tuple(_filtered(v, tree[str(k)]) for k, v in enumerate(value) if str(k) in tree)
        case frozenset():
            return frozenset(_filtered(v, tree[v]) for v in value if v in tree)
    return value


def json_remove(value: Value, paths: Value) -> Value:
    return _removed(obj(value), _paths(paths))


def _removed(value: Value, paths: Sequence[Path]) -> Value:
    gone = _under(paths)

    def keeps(key: Value) -> bool:
        return all(rest for rest in gone.get(key, ()))

    match value:
        case Object():
            pairs = ((k, v) for k, v in value.items() if keeps(k))
            return Object((k, _removed(v, gone.get(k, ()))) for k, v in pairs)
        case tuple():
            numbered = ((str(k), v) for k, v in enumerate(value) if keeps(str(k)))
            return tuple(_removed(v, gone.get(k, ())) for k, v in numbered)
        case frozenset():
            return frozenset(_removed(v, gone.get(v, ())) for v in value if keeps(v))
    return value


# -- patches --


def json_patch(value: Value, operations: Value) -> Value:
    for each in array(operations):
        value = _patched(value, obj(each))
    return value


def _patched(value: Value, operation: Object) -> Value:
    path = parse_path(_need(operation, "path"))
    match _need(operation, "op"):
        case "add":
            return _insert(value, path, _need(operation, "value"))
        case "remove":
            return _delete(value, path)
        case "replace":
            new = _need(operation, "value")
            return _insert(_delete(value, path), path, new)
        case "move":
            source = parse_path(_need(operation, "from"))
            return _insert(_delete(value, source), path, _at(value, source))
        case "copy":
            return _insert(value, path, _at(value, parse_path(_need(operation, "from"))))
        case "test":
            if _at(value, path) != _need(operation, "value"):
                raise FunctionError("value from EditTree != patch value")
            return value
    raise FunctionError(f"unrecognized op: {text(operation)}")


def _need(operation: Object, name: str) -> Value:
    if name not in operation:
        raise FunctionError(f"missing required attribute '{name}'")
    return operation[name]


def _at(value: Value, path: Path) -> Value:
    for part in path:
        below = step(value, _index(value, part) if isinstance(value, tuple) else part)
        if isinstance(below, Missing):
            raise FunctionError("path does not exist")
        value = below
    return value


def _index(value: tuple[Value, ...], part: Value, *, end: bool = False) -> int:
    if part == "-" and end:
        return len(value)
    if isinstance(part, str) and part.isdecimal() and (part == "0" or part[0] != "0"):
        part = int(part[:12])
    if not isinstance(part, int) or not 0 <= part < len(value) + end:
        raise FunctionError("index out of range")
    return part


def _insert(value: Value, path: Path, new: Value) -> Value:
    if not path:
        return new
    part, rest = path[0], path[1:]
    match value:
        case Object():
            if rest and part not in value:
                raise FunctionError("path does not exist")
            below = _insert(value[part], rest, new) if rest else new
            return Object({**dict(value.items()), part: below})
        case tuple():
            at = _index(value, part, end=not rest)
            if rest:
                return (*value[:at], _insert(value[at], rest, new), *value[at + 1 :])
            return (*value[:at], new, *value[at:])
        case frozenset():
            if not rest:
                return value | {new}
            return (value - {part}) | {_insert(_at(value, (part,)), rest, new)}
    raise FunctionError("path does not exist")


def _delete(value: Value, path: Path) -> Value:
    if not path:
        raise FunctionError("the root can't be removed")
    part, rest = path[0], path[1:]
    below = _at(value, (part,))
    match value:
        case Object():
            fields = dict(value.items())
            if rest:
                fields[part] = _delete(below, rest)
            else:
                del fields[part]
            return Object(fields)
        case tuple():
            at = _index(value, part)
            return (*value[:at], *((_delete(below, rest),) if rest else ()), *value[at + 1 :])
        case frozenset():
            return (value - {part}) | ({_delete(below, rest)} if rest else set())
    raise FunctionError("path does not exist")
