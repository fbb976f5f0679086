"""Attributes of target and group blocks: from values to fields, and back for those who refer to
them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from croze.bake.errors import BakeError
from croze.bake.hcl.evaluate import Evaluator
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import Diagnostic
from croze.bake.hcl.syntax import Expression
from croze.bake.options.entries import (
    ATTESTS,
    CACHES,
    OUTPUTS,
    SECRETS,
    SSH,
    Attest,
    CacheEntry,
    OutputEntry,
    SecretEntry,
    SshEntry,
)
from croze.bake.options.policy import policies_from_value, policy_values
from croze.bake.options.resources import ResourceLimits, resources_from_value, resources_value
from croze.bake.target import Group, Target
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.types import BOOL, LIST_OF_STRING, MAP_OF_STRING, STRING, Type
from croze.bake.values.value import (
    Value,
    boolean,
    list_value,
    map_value,
    null_of,
    object_value,
    string,
)

Field = object
_OPTIONAL_TEXTS = frozenset(
    ["context", "dockerfile", "dockerfile-inline", "target", "network", "shm-size", "call"]
)
_LISTS = frozenset(
    [
        "inherits",
        "annotations",
        "tags",
        "platforms",
        "no-cache-filter",
        "ulimits",
        "entitlements",
        "targets",
    ]
)
_MAPS = frozenset(("args", "labels", "extra-hosts"))
_SHOWN = (Attest, CacheEntry, OutputEntry, SecretEntry, SshEntry)
_FLAGS = frozenset(("pull", "no-cache"))
_ENTRIES: Mapping[str, tuple[Callable[[Value], Field], Type]] = {
    "attest": (ATTESTS.from_value, ATTESTS.element),
    "cache-from": (CACHES.from_value, CACHES.element),
    "cache-to": (CACHES.from_value, CACHES.element),
    "output": (OUTPUTS.from_value, OUTPUTS.element),
    "secret": (SECRETS.from_value, SECRETS.element),
    "ssh": (SSH.from_value, SSH.element),
}


def read_attribute(
    name: str, expression: Expression, scope: Scope, problems: list[Diagnostic]
) -> Field:
    """What the expression means for the attribute; None, with diagnostics, if it cannot mean
    anything."""
    value = Evaluator(problems).evaluate(expression, scope)
    try:
        return _read(name, value)
    except (ConversionError, BakeError) as error:
        detail = f"Unsuitable value: {error}"
        problems.append(Diagnostic("Unsuitable value type", detail, expression.start_range))
        return None


def _read(name: str, value: Value) -> Field:
    if name in _ENTRIES or name in ("policy", "resources"):
        return _special(name, value)
    if value.is_null and name in (*_LISTS, *_MAPS):  # of whatever type: as if it were not there
        _converted(value, LIST_OF_STRING if name in _LISTS else MAP_OF_STRING)
        return None
    if name in _LISTS:
        if value.kind == "tuple" and (plain := _plain(value.items)) is not None:
            return plain
        converted = _converted(value, LIST_OF_STRING)
        return None if converted.is_null else [_text(each) for each in converted.items]
    if name in _MAPS:
        if value.kind == "object" and (plain := _plain(value.fields.values())) is not None:
            return dict(sorted(zip(value.fields, plain, strict=True)))
        converted = _converted(value, MAP_OF_STRING)
        return None if converted.is_null else _texts(converted, null=True)
    if name == "contexts":
        converted = _converted(value, MAP_OF_STRING)
        return None if converted.is_null else _texts(converted, null=False)
    if name in _FLAGS:
        converted = _converted(value, BOOL)
        return None if converted.is_null else converted.is_true
    converted = _converted(value, STRING)
    if converted.is_null and name in _OPTIONAL_TEXTS:
        return None
    return _text(converted)


def _plain(values: Collection[Value]) -> list[str] | None:
    """The texts that they all are; None if they must be converted: one is no text, or unknown."""
    texts = [each.raw for each in values if each.kind == "string" and isinstance(each.raw, str)]
    return texts if len(texts) == len(values) else None


def _converted(value: Value, want: Type) -> Value:
    converted = convert(value, want)
    if not converted.is_known:
        raise ConversionError("value must be known")
    return converted


def _special(name: str, value: Value) -> Field:
    if not value.is_known:
        raise ConversionError("value must be known")
    if value.is_null:
        raise ConversionError("null value is not allowed")
    if name == "policy":
        return policies_from_value(value)
    if name == "resources":
        return resources_from_value(value)
    return _ENTRIES[name][0](value)


def _text(value: Value) -> str:
    if not value.is_known:
        raise ConversionError("value must be known")
    if value.is_null:
        raise ConversionError("null value is not allowed")
    return value.text


def _texts(value: Value, null: bool) -> dict[str, str | None]:
    return {
        name: None if null and value.fields[name].is_null else _text(value.fields[name])
        for name in sorted(value.fields)
    }


def group_value(group: Group) -> Value:
    """The value that `group.name` has in expressions."""
    return object_value(
        {
            "name": string(group.name),
            "description": string(group.description),
            "targets": _list(group.targets),
        }
    )


def target_value(target: Target, fields: Mapping[str, str]) -> Value:
    """The value that `target.name` has in expressions: all attributes, null where there is none."""
    members = {"name": string(target.name)}
    for name, field in fields.items():
        members[name] = _shown(name, getattr(target, field))
    return object_value(members)


def _list(texts: list[str] | None) -> Value:
    if texts is None:
        return null_of(LIST_OF_STRING)
    return list_value([string(each) for each in texts], STRING)


def _shown(name: str, held: Field) -> Value:
    match held:
        case None if name in _LISTS:
            return null_of(LIST_OF_STRING)
        case None if name in _MAPS or name == "contexts":
            return null_of(MAP_OF_STRING)
        case None if name in _FLAGS:
            return null_of(BOOL)
        case None if name in _OPTIONAL_TEXTS:
            return null_of(STRING)
        case bool():
            return boolean(held)
        case str():
            return string(held)
        case dict():
            texts = {key: null_of(STRING) if t is None else string(t) for key, t in held.items()}
            return map_value(texts, STRING)
        case list() if name in _LISTS:
            return _list(held)
    return _special_value(name, held)


def _special_value(name: str, held: Field) -> Value:
    if name == "policy":
        return policy_values(held if isinstance(held, list) else None)
    if name == "resources":
        return resources_value(held if isinstance(held, ResourceLimits) else None)
    entries = held if isinstance(held, list) else []
    shown = [each.value() for each in entries if isinstance(each, _SHOWN)]
    return list_value(shown, _ENTRIES[name][1])
