"""`policy`: how sources are checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from croze.bake.errors import BakeError
from croze.bake.options.fields import fields
from croze.bake.values import mismatch, number_text
from croze.bake.values.convert import ConversionError
from croze.bake.values.types import MAP_OF_STRING, STRING, list_of
from croze.bake.values.value import Value, list_value, map_value, string
from croze.gotypes.booleans import parse_bool
from croze.quote import quote

T = TypeVar("T")
_LEVELS = {
    **{name: index for index, name in enumerate(("panic", "fatal", "error"))},
    "warn": 3,
    "warning": 3,
    "info": 4,
    "debug": 5,
    "trace": 6,
}
_LEVEL_NAMES = ("panic", "fatal", "error", "warning", "info", "debug", "trace")


@dataclass(frozen=True, slots=True)
class Policy:
    files: tuple[str, ...] = ()
    reset: bool = False
    disabled: bool = False
    strict: bool | None = None
    log_level: int | None = None

    def plain(self) -> dict[str, object]:
        files = [{"Filename": each, "Data": None} for each in self.files] or None
        level = None if self.log_level is None else _LEVEL_NAMES[self.log_level]
        return {
            "Files": files,
            "Reset": self.reset,
            "Disabled": self.disabled,
            "Strict": self.strict,
            "LogLevel": level,
        }

    def value(self) -> Value:
        found: dict[str, str] = {"filename": self.files[0]} if self.files else {}
        for name, flag in (("reset", self.reset), ("disabled", self.disabled)):
            if flag:
                found[name] = "true"
        if self.strict is not None:
            found["strict"] = "true" if self.strict else "false"
        if self.log_level is not None:
            found["log-level"] = _LEVEL_NAMES[self.log_level]
        return map_value({key: string(text) for key, text in found.items()}, STRING)


def parse_policy(text: str) -> Policy:
    return _from_fields(fields(text))


def _from_fields(given: Sequence[str]) -> Policy:
    files: list[str] = []
    flags: dict[str, bool] = {}
    level: int | None = None
    for each in given:
        raw_key, equals, value = each.partition("=")
        key = raw_key.lower().strip()
        if not equals or (key == "filename" and not value):
            raise BakeError(f"invalid value {each}")
        if key == "filename":
            files.append(value)
        elif key in ("reset", "disabled", "strict"):
            flags[key] = _wrapped(each, _bool, value)
        elif key == "log-level":
            level = _wrapped(each, _level, value)
        else:
            raise BakeError(f"invalid value {each}")
    return Policy(
        tuple(files),
        flags.get("reset", False),
        flags.get("disabled", False),
        flags.get("strict"),
        level,
    )


def _wrapped(field: str, read: Callable[[str], T], value: str) -> T:
    try:
        return read(value)
    except BakeError as error:
        raise error.wrap(f"invalid value {field}") from None


def _bool(text: str) -> bool:
    found = parse_bool(text)
    if found is None:
        raise BakeError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")
    return found


def _level(text: str) -> int:
    if text.lower() not in _LEVELS:
        raise BakeError(f"not a valid logrus Level: {quote(text)}")
    return _LEVELS[text.lower()]


def policies_from_value(value: Value) -> list[Policy]:
    if value.kind not in ("tuple", "list"):
        raise ConversionError(mismatch.message(value.type, list_of(MAP_OF_STRING)))
    found: list[Policy] = []
    for each in value.items:
        if not each.is_known or each.raw == "":
            continue
        if each.kind == "string" and not each.is_null:
            found.append(parse_policy(each.text))
        elif each.is_mapping:
            found.append(_from_fields(_object_fields(each)))
        else:
            raise ConversionError(mismatch.message(each.type, MAP_OF_STRING))
    return found


def _object_fields(value: Value) -> list[str]:
    out: list[str] = []
    for key, each in sorted(value.fields.items()):
        if each.is_null or not each.is_known or each.raw == "":
            continue
        match each.kind:
            case "string":
                out.append(f"{key}={each.text}")
            case "bool":
                out.append(f"{key}={'true' if each.is_true else 'false'}")
            case "number":
                out.append(f"{key}={number_text.plain(each.number)}")
            case _:
                raise ConversionError(mismatch.message(each.type, STRING))
    return out


def policy_values(policies: Sequence[Policy] | None) -> Value:
    return list_value([each.value() for each in policies or ()], MAP_OF_STRING)
