"""Targets and groups as the JSON that `--print` shows, and lists as tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.bake.definition.read import Definition
from croze.bake.select import Selection
from croze.bake.target import ATTRIBUTES, Group, Target
from croze.gotypes.gojson import marshal_indent_as_is

_ESCAPED = ("annotations", "dockerfile-inline", "labels", "args", "extra-hosts")
_ORDER = (
    *[
        "description",
        "inherits",
        "annotations",
        "attest",
        "context",
        "contexts",
        "dockerfile",
        "dockerfile-inline",
        "args",
    ],
    *[
        "labels",
        "tags",
        "cache-from",
        "cache-to",
        "target",
        "secret",
        "ssh",
        "platforms",
        "output",
        "pull",
        "no-cache",
    ],
    *[
        "network",
        "no-cache-filter",
        "shm-size",
        "ulimits",
        "resources",
        "call",
        "entitlements",
        "extra-hosts",
    ],
    "policy",
)


def _escape(text: str) -> str:
    """Text that stays what it is when a Bake file holds it."""
    return text.replace("${", "$${").replace("%{", "%%{")


def _escaped(held: object) -> object:
    match held:
        case str():
            return _escape(held)
        case dict():
            return {key: _escaped(each) for key, each in held.items()}
        case list():
            return [_escaped(each) for each in held]
    return held


def plain_target(target: Target) -> dict[str, object]:
    """The target as plain data, without what is not set."""
    members: dict[str, object] = {}
    for name in _ORDER:
        held = getattr(target, ATTRIBUTES[name])
        if held is None or (held == "" and name == "description") or held == [] or held == {}:
            continue
        plain = _plain(held)
        members[name] = _escaped(plain) if name in _ESCAPED else plain
    return members


def _plain(held: object) -> object:
    if isinstance(held, list):
        return [_plain(each) for each in held]
    if isinstance(held, dict):
        return {key: held[key] for key in sorted(held)}
    plain = getattr(held, "plain", None)
    return held if plain is None else plain()


def plain_group(group: Group) -> dict[str, object]:
    described: dict[str, object] = {"description": group.description} if group.description else {}
    return described | {"targets": group.targets if group.has_list else None}


def plain_selection(selection: Selection) -> dict[str, object]:
    """The whole selection: what `--print` shows."""
    groups = {name: plain_group(selection.groups[name]) for name in sorted(selection.groups)}
    targets = {name: plain_target(selection.targets[name]) for name in sorted(selection.targets)}
    return {"group": groups, "target": targets} if groups else {"target": targets}


def as_json(plain: object) -> str:
    """The JSON of plain data as Go shows its structs: members in the order they stand in."""
    return marshal_indent_as_is(plain).decode()


def list_targets(definition: Definition) -> list[dict[str, object]] | None:
    """Targets and groups by name, with what they are for; names with a leading underscore are
    private. None, the `null` of buildx, if there is nothing."""
    rows: list[tuple[str, str, bool]] = []
    for target in definition.targets:
        rows.append((target.name, target.description, False))
    for group in definition.groups:
        names = ", ".join(sorted(group.targets))
        text = f"{group.description} ({names})" if group.description and names else ""
        rows.append((group.name, text or group.description or names, True))
    rows.sort(key=lambda row: row[0])
    listed: list[dict[str, object]] = []
    for name, text, is_group in rows:
        if not name.startswith("_"):
            entry: dict[str, object] = {"name": name}
            listed.append(
                entry
                | ({"description": text} if text else {})
                | ({"group": True} if is_group else {})
            )
    return listed or None


def target_rows(entries: Sequence[Mapping[str, object]]) -> list[tuple[str, ...]]:
    """The table of targets that `--list` shows, its headings first."""
    rows = [(str(each["name"]), str(each.get("description", ""))) for each in entries]
    return [("TARGET", "DESCRIPTION"), *rows]


def list_variables(definition: Definition) -> list[dict[str, object]] | None:
    """Variables by name; None, the `null` of buildx, where no file could have declared any."""
    if definition.variables is None:
        return None
    rows: list[dict[str, object]] = []
    for each in sorted(definition.variables, key=lambda each: each.name):
        entry: dict[str, object] = {"name": each.name}
        for key, text in (("description", each.description), ("type", each.type)):
            if text:
                entry[key] = text
        if each.value is not None:
            entry["value"] = each.value
        rows.append(entry)
    return rows


def variable_rows(definition: Definition) -> list[tuple[str, ...]]:
    """The table of variables that `--list` shows, its headings first."""
    rows: list[tuple[str, ...]] = [("VARIABLE", "TYPE", "VALUE", "DESCRIPTION")]
    for each in sorted(definition.variables or (), key=lambda each: each.name):
        shown = "<null>" if each.value is None else each.value
        rows.append((each.name, each.type, shown, each.description))
    return rows
