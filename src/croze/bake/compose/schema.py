"""The part of the compose schema that concerns builds, and which of several problems is told.

Source of the types: compose-spec.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct, field

from croze.bake.compose.data import Data, Path


class SchemaProblem(Struct, frozen=True):
    where: Path
    what: str
    weight: int


class DataSchema(Protocol):
    """What a value of the file may be."""

    def problems(self, value: Data, where: Path) -> Iterator[SchemaProblem]:
        """All that is wrong with a value that stands at `where`."""
        ...


def _kind(value: Data) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _named(kinds: tuple[str, ...]) -> str:
    names = sorted("mapping" if each == "object" and len(kinds) == 1 else each for each in kinds)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _wrong_type(value: Data, where: Path, kinds: tuple[str, ...]) -> SchemaProblem | None:
    kind = _kind(value)
    if kind in kinds or (kind == "integer" and "number" in kinds):
        return None
    return SchemaProblem(where, f"must be a {_named(kinds)}", len(where))


class ScalarSchema(Struct, frozen=True):
    kinds: tuple[str, ...]

    def problems(self, value: Data, where: Path) -> Iterator[SchemaProblem]:
        wrong_type = _wrong_type(value, where, self.kinds)
        if wrong_type is not None:
            yield wrong_type


class ItemsSchema(Struct, frozen=True):
    item: DataSchema
    unique: bool = False

    def problems(self, value: Data, where: Path) -> Iterator[SchemaProblem]:
        wrong_type = _wrong_type(value, where, ("array",))
        if wrong_type is not None:
            yield wrong_type
        if not isinstance(value, list):
            return
        seen: dict[str, int] = {}
        for index, each in enumerate(value):
            yield from self.item.problems(each, (*where, str(index)))
            first = seen.setdefault(repr(each), index)
            if self.unique and first != index:
                yield SchemaProblem(where, f"items at {first} and {index} are equal", len(where))


class MappingSchema(Struct, frozen=True):
    """A mapping with members by name, then by pattern, and nothing else."""

    members: Mapping[str, DataSchema] = field(default_factory=dict)
    patterns: Mapping[str, DataSchema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    closed: bool = True

    def problems(self, value: Data, where: Path) -> Iterator[SchemaProblem]:
        wrong_type = _wrong_type(value, where, ("object",))
        if wrong_type is not None:
            yield wrong_type
        if not isinstance(value, dict):
            return
        missing = [name for name in self.required if name not in value]
        if missing:
            noun = "property" if len(missing) == 1 else "properties"
            names = ", ".join(f"'{name}'" for name in missing)
            yield SchemaProblem(where, f"missing {noun} {names}", len(where))
        extra: list[str] = []
        for name, each in value.items():
            schemas = [self.members[name]] if name in self.members else []
            schemas += [s for pattern, s in self.patterns.items() if re.search(pattern, name)]
            if not schemas and self.closed:
                extra.append(name)
            for schema in schemas:
                yield from schema.problems(each, (*where, name))
        if extra:
            names = ", ".join(f"'{name}'" for name in extra)
            yield SchemaProblem(where, f"additional properties {names} not allowed", len(where) + 1)


class OneOf(Struct, frozen=True):
    choices: tuple[DataSchema, ...]

    def problems(self, value: Data, where: Path) -> Iterator[SchemaProblem]:
        by_choice = [list(each.problems(value, where)) for each in self.choices]
        if all(by_choice):
            for each in by_choice:
                yield from each


class Anything(Struct, frozen=True):
    def problems(self, value: Data, where: Path) -> Iterator[SchemaProblem]:
        return iter(())


_TEXT = ScalarSchema(("string",))
_TEXTS = ItemsSchema(_TEXT)
_UNIQUE_TEXTS = ItemsSchema(_TEXT, unique=True)
_FLAG = ScalarSchema(("boolean", "string"))
_NUMBER = ScalarSchema(("integer", "string"))
_EXTENSION: Mapping[str, DataSchema] = {"^x-": Anything()}
_PAIRS = OneOf(
    (
        MappingSchema(patterns={".+": ScalarSchema(("string", "number", "boolean", "null"))}),
        _UNIQUE_TEXTS,
    )
)
_HOSTS = OneOf((MappingSchema(patterns={".+": OneOf((_TEXT, _TEXTS))}), _UNIQUE_TEXTS))
_LIMIT = OneOf(
    (_NUMBER, MappingSchema({"hard": _NUMBER, "soft": _NUMBER}, _EXTENSION, ("soft", "hard")))
)
_GRANT = OneOf(
    (
        _TEXT,
        MappingSchema(
            {
                **dict.fromkeys(("source", "target", "uid", "gid"), _TEXT),
                "mode": ScalarSchema(("number", "string")),
            },
            _EXTENSION,
        ),
    )
)
_BUILD_MEMBERS: Mapping[str, DataSchema] = {
    **dict.fromkeys(
        ("context", "dockerfile", "dockerfile_inline", "network", "target", "isolation"), _TEXT
    ),
    **dict.fromkeys(("entitlements", "cache_from", "cache_to", "tags", "platforms"), _TEXTS),
    **dict.fromkeys(("args", "ssh", "labels", "additional_contexts"), _PAIRS),
    **dict.fromkeys(("no_cache", "pull", "privileged", "provenance", "sbom"), _FLAG),
    "no_cache_filter": OneOf((_TEXT, _UNIQUE_TEXTS)),
    "shm_size": _NUMBER,
    "extra_hosts": _HOSTS,
    "secrets": ItemsSchema(_GRANT),
    "ulimits": MappingSchema(patterns={"^[a-z]+$": _LIMIT}, closed=False),
}
_ENV_FILE = OneOf(
    (
        _TEXT,
        ItemsSchema(
            OneOf(
                (
                    _TEXT,
                    MappingSchema(
                        {"path": _TEXT, "format": _TEXT, "required": _FLAG}, {}, ("path",)
                    ),
                )
            )
        ),
    )
)
_SERVICE = MappingSchema(
    {
        "image": _TEXT,
        "build": OneOf((_TEXT, MappingSchema(_BUILD_MEMBERS, _EXTENSION))),
        "environment": _PAIRS,
        "env_file": _ENV_FILE,
    },
    _EXTENSION,
)
_SECRET = MappingSchema(
    {
        **dict.fromkeys(("name", "environment", "file", "driver", "template_driver"), _TEXT),
        "external": ScalarSchema(("boolean", "string", "object")),
        "labels": _PAIRS,
        "driver_opts": MappingSchema(
            patterns={"^.+$": ScalarSchema(("string", "number"))}, closed=False
        ),
    },
    _EXTENSION,
)
_PROJECT = MappingSchema(
    {
        "services": MappingSchema(patterns={"^[a-zA-Z0-9._-]+$": _SERVICE}),
        "secrets": MappingSchema(patterns={"^[a-zA-Z0-9._-]+$": _SECRET}),
    }
)


def first_problem(project: Data) -> str | None:
    """The most specific problem, in words; None if there is none."""
    best: SchemaProblem | None = None
    for each in _PROJECT.problems(project, ()):
        if best is None or each.weight > best.weight:
            best = each
    return None if best is None else f"{'.'.join(best.where)} {best.what}"
