"""`croze bake --list`: targets or variables, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from croze.bake.definition.read import Definition
from croze.bake.errors import BakeError
from croze.bake.options.fields import fields
from croze.bake.printing import (
    as_json,
    list_targets,
    list_variables,
    target_rows,
    variable_rows,
)
from croze.bake.project import load_definition
from croze.bake.world import BakeSettings
from croze.cli.bake.progress import BakeProgress
from croze.gotypes.quote import quote
from croze.gotypes.tabwriter import align_by_tabs
from croze.sdk.bake_files import names_from_environment, read_local_files
from croze.sdk.bake_world import LocalWorld


class ListRequest(Struct, frozen=True):
    """What `--list` says: `targets` or `variables`, and as what they are shown."""

    type: str
    format: str


def target_names(names: Sequence[str]) -> list[str]:
    """The names of groups and targets, as the definition has them. Raises `CrozeError` for one that
    can't be read."""
    progress = BakeProgress("quiet", None)
    try:
        files = read_local_files(names or names_from_environment(), progress.show)
    finally:
        progress.close()
    definition = load_definition(files, BakeSettings(), LocalWorld())
    listed = [
        *(each.name for each in definition.groups),
        *(each.name for each in definition.targets),
    ]
    return list(dict.fromkeys(listed))


def parse_list(text: str) -> ListRequest:
    """Read `--list`: `targets`, or `type=targets,format=json`. Raises `BakeError`."""
    words = fields(text)
    type_, format_ = "", ""
    if words == [text] and not text.startswith("type="):
        type_ = text
    else:
        for field in words:
            raw_key, equals, value = field.partition("=")
            key = raw_key.lower().strip()
            if not equals:
                raise BakeError(f"invalid value {field}")
            if key == "type":
                type_ = value
            elif key == "format":
                format_ = value
            else:
                raise BakeError(f"unexpected key '{key}' in '{field}'")
    if type_ not in ("targets", "variables"):
        raise BakeError(f"invalid list type {quote(type_)}")
    if format_ not in ("", "table", "json"):
        raise BakeError(f"invalid list format {quote(format_)}")
    return ListRequest(type_, format_ or "table")


def print_list(request: ListRequest, definition: Definition) -> None:
    if request.type == "targets":
        entries = list_targets(definition)
        rows = target_rows(entries or ())
    else:
        entries = list_variables(definition)
        rows = variable_rows(definition)
    print(as_json(entries) if request.format == "json" else _table(rows))


def _table(rows: Sequence[Sequence[str]]) -> str:
    return align_by_tabs("\n".join("\t".join(row) for row in rows))
