"""One compose file over another: what is replaced, joined, or appended."""

from __future__ import annotations

from croze.bake.compose.data import Data, Mapping, Path
from croze.bake.compose.moments import Moment
from croze.gotypes.numbers import float_text

_LISTS = (
    "annotations build.args build.additional_contexts build.labels deploy.labels dns dns_opt"
    " dns_search env_file environment label_file labels sysctls tmpfs"
)
_SEQUENCES = (
    *(("services", "*", *each.split(".")) for each in _LISTS.split()),
    ("networks", "*", "labels"),
    ("volumes", "*", "labels"),
)
_HOSTS = (("services", "*", "build", "extra_hosts"), ("services", "*", "extra_hosts"))
_REPLACED = (
    ("services", "*", "command"),
    ("services", "*", "entrypoint"),
    ("services", "*", "healthcheck", "test"),
    ("services", "*", "ulimits", "*"),
)
_NAMED = (
    ("services", "*", "depends_on"),
    ("services", "*", "models"),
    ("services", "*", "networks"),
)
"""Lists of names that stand for mappings."""
_BUILD = ("services", "*", "build")


class MergeError(Exception):
    """Two files do not fit together."""


def fits(path: Path, pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(
        part in ("*", name) for part, name in zip(pattern, path, strict=True)
    )


def merge(base: Data, over: Data, path: Path = ()) -> Data:
    """The data with the other over it."""
    if any(fits(path, each) for each in _SEQUENCES):
        return [*as_sequence(base), *as_sequence(over)]
    if any(fits(path, each) for each in _HOSTS):
        hosts = as_sequence(base)
        return [*hosts, *(each for each in as_sequence(over) if each not in hosts)]
    if any(fits(path, each) for each in _REPLACED):
        return over
    if any(fits(path, each) for each in _NAMED):
        return _mappings(_by_name(base), _by_name(over), path)
    if fits(path, _BUILD):
        return _mappings(_as_build(base), _as_build(over), path)
    if over is None:
        return base
    if isinstance(base, dict):
        if not isinstance(over, dict):
            raise MergeError(f"cannot override {'.'.join(path)}")
        return _mappings(base, over, path)
    if isinstance(base, list):
        if not isinstance(over, list):
            raise MergeError(f"cannot override {'.'.join(path)}")
        return [*base, *over]
    return over


def _mappings(base: Mapping, over: Mapping, path: Path) -> Mapping:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge(merged[key], value, (*path, key)) if key in merged else value
    return merged


def _as_build(build: Data) -> Mapping:
    if isinstance(build, str):
        return {"context": build}
    return build if isinstance(build, dict) else {}


def _by_name(value: Data) -> Mapping:
    if isinstance(value, list):
        return {plain_text(each): {} for each in value}
    return value if isinstance(value, dict) else {}


def as_sequence(value: Data) -> list[Data]:
    """A mapping as a list of `key=value`, sorted."""
    if isinstance(value, dict):
        items: list[str] = []
        for key, each in value.items():
            if each is None:
                items.append(key)
            elif isinstance(each, list):
                items.extend(f"{key}={plain_text(item)}" for item in each)
            else:
                items.append(f"{key}={plain_text(each)}")
        return [*sorted(items)]
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []


_GO_TYPES = {int: "int", float: "float64", bool: "bool", list: "[]interface {}", str: "string"}
_LARGEST_INT = (1 << 63) - 1


def type_name(value: Data) -> str:
    """What Go calls the type of a value."""
    if value is None:
        return "<nil>"
    if isinstance(value, Moment):
        return "time.Time"
    if type(value) is int and value > _LARGEST_INT:
        return "uint64"
    return _GO_TYPES.get(type(value), "map[string]interface {}")


def plain_text(value: Data) -> str:
    """A value as Go's %v prints it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value)
        case list():
            return f"[{' '.join(map(plain_text, value))}]"
        case dict():
            members = (f"{key}:{plain_text(value[key])}" for key in sorted(value))
            return f"map[{' '.join(members)}]"
    return str(value)


def removed(value: Data, paths: list[Path]) -> Data:
    """The data without what stands at the paths."""
    for path in paths:
        value = _without(value, path)
    return value


def _without(value: Data, path: Path) -> Data:
    if not path:
        return None
    first, rest = path[0], path[1:]
    if isinstance(value, dict) and first in value:
        if not rest:
            return {key: each for key, each in value.items() if key != first}
        return {**value, first: _without(value[first], rest)}
    return value
