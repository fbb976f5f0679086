"""`policy`: how sources are checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from croze.bake.errors import BakeError
from croze.bake.values import mismatch, number_text
from croze.bake.values.convert import ConversionError
from croze.bake.values.types import MAP_OF_STRING, STRING, list_of
from croze.bake.values.value import Value, list_value, map_value, string
from croze.errors import InvalidRequest
from croze.policy.options import LEVEL_NAMES, PolicyOption, from_fields, parse_option


def _value(policy: PolicyOption) -> Value:
    members: dict[str, str] = {"filename": policy.files[0]} if policy.files else {}
    for name, flag in (("reset", policy.reset), ("disabled", policy.disabled)):
        if flag:
            members[name] = "true"
    if policy.strict is not None:
        members["strict"] = "true" if policy.strict else "false"
    if policy.log_level is not None:
        members["log-level"] = LEVEL_NAMES[policy.log_level]
    return map_value({key: string(text) for key, text in members.items()}, STRING)


def parse_policy(text: str) -> PolicyOption:
    """The policy that a text such as `filename=p.rego,strict=true` says. Raises `BakeError`."""
    return _read(lambda: parse_option(text))


def _read(read: Callable[[], PolicyOption]) -> PolicyOption:
    try:
        return read()
    except InvalidRequest as error:
        raise BakeError(str(error)) from None


def policies_from_value(value: Value) -> list[PolicyOption]:
    """The entries of a target's `policy`, which may be texts or objects; unknown and empty ones are
    left out. Raises `ConversionError`, and `BakeError` for what an entry says."""
    if value.kind not in ("tuple", "list"):
        raise ConversionError(mismatch.message(value.type, list_of(MAP_OF_STRING)))
    policies: list[PolicyOption] = []
    for each in value.items:
        if not each.is_known or each.raw == "":
            continue
        if each.kind == "string" and not each.is_null:
            policies.append(parse_policy(each.text))
        elif each.is_mapping:
            fields = _object_fields(each)
            policies.append(_read(partial(from_fields, fields)))
        else:
            raise ConversionError(mismatch.message(each.type, MAP_OF_STRING))
    return policies


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


def policy_values(policies: Sequence[PolicyOption] | None) -> Value:
    return list_value([_value(each) for each in policies or ()], MAP_OF_STRING)
