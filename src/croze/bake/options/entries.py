"""Options that come in lists: caches, outputs, attestations, secrets and ssh agents.

Each is written as comma-separated fields or as an object. `EntryKind` says how one kind is read,
and every list knows how to join with another one and to drop what is there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from croze.bake.errors import BakeError
from croze.bake.options.fields import fields
from croze.bake.values import json, mismatch
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.types import (
    LIST_OF_STRING,
    MAP_OF_STRING,
    STRING,
    Type,
    list_of,
    object_of,
)
from croze.bake.values.value import (
    Value,
    list_value,
    map_value,
    object_value,
    string,
)
from croze.gotypes.booleans import checked_bool, parse_bool
from croze.gotypes.csv_line import continued
from croze.gotypes.letters import to_lower
from croze.gotypes.quote import quote


class CacheEntry(Struct, frozen=True):
    type: str
    attrs: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> Mapping[str, object]:
        return _by_name({**self.attrs, "type": self.type})

    def value(self) -> Value:
        return _texts({**self.attrs, "type": self.type})


class OutputEntry(Struct, frozen=True):
    type: str
    attrs: Mapping[str, str] = field(default_factory=dict)
    dest: str = ""

    def plain(self) -> Mapping[str, object]:
        dest = {"dest": self.dest} if self.dest else {}
        return _by_name({**self.attrs, "type": self.type, **dest})

    def value(self) -> Value:
        return _texts({**self.attrs, "type": self.type, "dest": self.dest})

    def with_attr(self, key: str, value: str) -> OutputEntry:
        return replace(self, attrs={**self.attrs, key: value})


class Attest(Struct, frozen=True):
    type: str
    disabled: bool = False
    attrs: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> Mapping[str, object]:
        disabled = {"disabled": True} if self.disabled else {}
        return _by_name({**self.attrs, "type": self.type, **disabled})

    def value(self) -> Value:
        disabled = {"disabled": "true"} if self.disabled else {}
        return _texts({**self.attrs, "type": self.type, **disabled})


class SecretEntry(Struct, frozen=True):
    id: str = ""
    src: str = ""
    env: str = ""

    def plain(self) -> Mapping[str, object]:
        members = {"id": self.id, "src": self.src, "env": self.env}
        return {key: text for key, text in members.items() if text}

    def value(self) -> Value:
        return object_value(
            {"id": string(self.id), "src": string(self.src), "env": string(self.env)}
        )


class SshEntry(Struct, frozen=True):
    id: str = ""
    paths: tuple[str, ...] = ()

    def plain(self) -> Mapping[str, object]:
        members: dict[str, object] = {"id": self.id} if self.id else {}
        return members | ({"paths": list(self.paths)} if self.paths else {})

    def value(self) -> Value:
        paths = list_value([string(each) for each in self.paths], STRING)
        return object_value({"id": string(self.id), "paths": paths})


class OptionEntry(Protocol):
    """One entry of such a list."""

    def plain(self) -> Mapping[str, object]:
        """The entry as plain data, which is printed."""
        ...

    def value(self) -> Value:
        """The entry as expressions see it."""
        ...


E = TypeVar("E", bound=OptionEntry)
N = TypeVar("N", SecretEntry, SshEntry)


def _by_name(pairs: Mapping[str, object]) -> dict[str, object]:
    return dict(sorted(pairs.items()))


def _texts(pairs: Mapping[str, str]) -> Value:
    return map_value({key: string(text) for key, text in pairs.items()}, STRING)


class EntryKind(Struct, Generic[E], frozen=True):
    """One kind of entry: how a text and an object are read, and what makes two of them the same."""

    element: Type
    from_text: Callable[[str], Sequence[E]]
    from_object: Callable[[Value], E]
    distinct: Callable[[Sequence[E]], list[E]]

    def from_texts(self, texts: Sequence[str]) -> list[E]:
        return [entry for text in texts if text for entry in self.from_text(text)]

    def from_value(self, value: Value) -> list[E]:
        """The entries of a list; ConversionError or BakeError if it is none. Empty texts are left
        out."""
        if value.kind not in ("tuple", "list"):
            raise ConversionError(mismatch.message(value.type, list_of(self.element)))
        entries: list[E] = []
        for each in value.items:
            if not each.is_known or each.raw == "":
                continue
            if each.kind == "string" and not each.is_null:
                entries.extend(self.from_text(each.text))
            else:
                entries.append(self.from_object(each))
        return entries

    def merged(self, first: list[E] | None, second: list[E] | None) -> list[E] | None:
        """The entries of both lists; what is there twice counts once. None if there is neither
        list."""
        if first is None or second is None:
            return first if second is None else second
        return self.distinct([*first, *second])


def _attrs(value: Value) -> dict[str, str]:
    """The members of an object as texts; unknown ones are left out."""
    converted = convert(value, MAP_OF_STRING)
    if converted.is_null:
        return {}
    known_fields = {name: each for name, each in converted.fields.items() if each.is_known}
    for each in known_fields.values():
        if each.is_null:
            raise ConversionError("null value is not allowed")
    return {name: each.text for name, each in known_fields.items()}


def _pairs(text: str, *, list_key: str = "") -> list[tuple[str, str, str]]:
    """Key, value, and the whole of each `key=value` field. With a `list_key` its value may go on
    behind commas."""
    pairs: list[tuple[str, str, str]] = []
    for each in continued(fields(text), list_key) if list_key else fields(text):
        key, equals, value = each.partition("=")
        if not equals:
            raise BakeError(f"invalid value {each}")
        pairs.append((key, value, each))
    return pairs


def _cache_from_text(text: str) -> list[CacheEntry]:
    if "=" not in text:
        refs = (fields(each) for each in fields(text))
        return [CacheEntry("registry", {"ref": each[0]}) for each in refs]
    type_, attrs = "", dict[str, str]()
    for key, value, _ in _pairs(text, list_key="mounts"):
        if key.lower() == "type":
            type_ = value
        else:
            attrs[key.lower()] = value
    if not type_:
        raise BakeError(f"type required for {quote(text)}")
    return [CacheEntry(type_, attrs)]


def _cache_from_object(value: Value) -> CacheEntry:
    attrs = _attrs(value)
    type_ = attrs.pop("type", "")
    if not type_:
        raise BakeError(f"type required for {quote(json.to_json(value))}")
    return CacheEntry(type_, attrs)


def _output_from_text(text: str) -> list[OutputEntry]:
    words = fields(text)
    if words == [text] and not text.startswith("type="):
        return [OutputEntry("tar", {}, "-") if text == "-" else OutputEntry("local", {}, text)]
    type_, dest, attrs = "", "", dict[str, str]()
    for raw_key, value, _ in _pairs(text):
        key = raw_key.lower().strip()
        if key == "type":
            type_ = value
        elif key == "dest":
            dest = value
        else:
            attrs[key] = value
    return [_checked(OutputEntry(type_, attrs, dest))]


def _output_from_object(value: Value) -> OutputEntry:
    attrs = _attrs(value)
    type_, dest = attrs.pop("type", ""), attrs.pop("dest", "")
    return _checked(OutputEntry(type_, attrs, dest))


def _checked(output: OutputEntry) -> OutputEntry:
    if not output.type:
        raise BakeError("type is required for output")
    return output


def _disabled(text: str) -> bool:
    return checked_bool(text, error=BakeError)


def _attest_from_text(text: str) -> list[Attest]:
    type_, disabled, attrs = "", False, dict[str, str]()
    for key, value, whole in _pairs(text):
        match key.lower().strip():
            case "type":
                type_ = value
            case "disabled":
                try:
                    disabled = _disabled(value)
                except BakeError as error:
                    raise error.wrap(f"invalid value {whole}") from None
            case _:
                attrs[key] = value
    if not type_:
        raise BakeError("attestation type not specified")
    return [Attest(type_, disabled, attrs)]


def _attest_from_object(value: Value) -> Attest:
    attrs = _attrs(value)
    type_ = attrs.pop("type", "")
    disabled = _disabled(attrs.pop("disabled")) if "disabled" in attrs else False
    return Attest(type_, disabled, attrs)


def _secret_from_text(text: str) -> list[SecretEntry]:
    try:
        parts = fields(text)
    except BakeError as error:
        raise error.wrap("failed to parse csv secret") from None
    members = {"type": "", "id": "", "src": "", "env": ""}
    for part in parts:
        raw_key, equals, value = part.partition("=")
        key = to_lower(raw_key)
        if not equals:
            raise BakeError(f"invalid field '{part}' must be a key=value pair")
        if key == "type" and value not in ("file", "env"):
            raise BakeError(f"unsupported secret type {quote(value)}")
        key = "src" if key == "source" else key
        if key not in members:
            raise BakeError(f"unexpected key '{key}' in '{part}'")
        members[key] = value
    secret = SecretEntry(members["id"], members["src"], members["env"])
    if members["type"] == "env" and not secret.env:
        secret = SecretEntry(secret.id, "", secret.src)
    return [secret]


_SECRET_TYPE = object_of(
    {"id": STRING, "src": STRING, "env": STRING}, frozenset(("id", "src", "env"))
)
_SSH_TYPE = object_of({"id": STRING, "paths": LIST_OF_STRING}, frozenset(("id", "paths")))


def _member(value: Value, name: str) -> str:
    member = value.fields.get(name)
    return "" if member is None or not isinstance(member.raw, str) else member.raw


def _secret_from_object(value: Value) -> SecretEntry:
    members = convert(value, _SECRET_TYPE)
    return SecretEntry(_member(members, "id"), _member(members, "src"), _member(members, "env"))


def _ssh_from_text(text: str) -> list[SshEntry]:
    id_, equals, paths = text.partition("=")
    return [SshEntry(id_, tuple(paths.split(",")) if equals else ())]


def _ssh_from_object(value: Value) -> SshEntry:
    members = convert(value, _SSH_TYPE)
    paths = members.fields.get("paths")
    listed = paths.items if paths is not None else ()
    if any(each.is_null for each in listed):
        raise ConversionError("null value is not allowed")
    return SshEntry(_member(members, "id"), tuple(each.text for each in listed))


def _unique(entries: Sequence[E]) -> list[E]:
    """Each entry once. Which of two stays, and where, is the original's way of removing them."""
    unique = list(entries)
    for i in range(len(unique) - 2, -1, -1):
        for j in range(i + 1, len(unique)):
            if unique[i] == unique[j]:
                unique[j] = unique[-1]
                unique.pop()
                break
    return unique


def _unique_attests(entries: Sequence[Attest]) -> list[Attest]:
    return list({each.type: each for each in entries}.values())


def _unique_ids(entries: Sequence[N]) -> list[N]:
    return list({each.id: each for each in entries}.values())


CACHES = EntryKind(MAP_OF_STRING, _cache_from_text, _cache_from_object, _unique)
OUTPUTS = EntryKind(MAP_OF_STRING, _output_from_text, _output_from_object, _unique)
ATTESTS = EntryKind(MAP_OF_STRING, _attest_from_text, _attest_from_object, _unique_attests)
SECRETS = EntryKind(_SECRET_TYPE, _secret_from_text, _secret_from_object, _unique_ids)
SSH = EntryKind(_SSH_TYPE, _ssh_from_text, _ssh_from_object, _unique_ids)


def canonical_attest(kind: str, text: str) -> str:
    """`true`, `false` or options as a whole attestation."""
    enabled = parse_bool(text)
    if enabled is None:
        return f"type={kind},{text}"
    return f"type={kind},disabled={'false' if enabled else 'true'}"
