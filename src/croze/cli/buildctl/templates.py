"""`--format`: templates, and values with the names that they have in Go's structs."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from croze.api.attrs import of_attrs
from croze.errors import InvalidRequest
from croze.gotypes import template as templates
from croze.gotypes.template import Fields, TemplateError, render

FORMAT = "Format the output using the given Go template, e.g, '{{json .}}'"
_ALIASES = {"json": "{{json .}}"}
_NAMES = {
    "id": "ID",
    "os": "OS",
    "os.version": "OSVersion",
    "os.features": "OSFeatures",
    "gcPolicy": "GCPolicy",
    "cdiDevices": "CDIDevices",
}
"""Where it isn't the JSON's with a capital."""


def check(template: str) -> None:
    """See that a template can be read, before anything is done. Raises `InvalidRequest`."""
    try:
        templates.check(_ALIASES.get(template, template))
    except TemplateError as error:
        raise InvalidRequest(str(error)) from None


def rendered(template: str, value: object) -> str:
    """The template's text and an end of line. Raises `InvalidRequest` for what is no template."""
    try:
        return render(_ALIASES.get(template, template), value) + "\n"
    except TemplateError as error:
        raise InvalidRequest(str(error)) from None


def struct(members: Mapping[str, object], **texts: object) -> Fields:
    """A struct by its JSON's members. `texts` are what templates see where that is something
    else."""
    values = {_NAMES.get(key, key[:1].upper() + key[1:]): each for key, each in members.items()}
    return Fields({**values, **texts}, members=members)


def message_struct(message: Message) -> Fields:
    """A protobuf message with all its fields; what isn't set is empty, a message nil."""
    values = {_camel(f.name): _value(message, f.name) for f in message.DESCRIPTOR.fields}
    members = {
        field.name: values[_camel(field.name)] if field.enum_type is None else value
        for field, value in sorted(message.ListFields(), key=lambda item: item[0].index)
    }
    return Fields(values, f"*{message.DESCRIPTOR.name}", members)


def _camel(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _value(message: Message, name: str) -> object:
    field = message.DESCRIPTOR.fields_by_name[name]
    value: object = getattr(message, name)
    if field.message_type is not None and field.message_type.full_name == "croze.v1.Attr":
        return of_attrs(getattr(message, name))
    if isinstance(value, Mapping):
        return {str(key): _item(each) for key, each in value.items()}
    if field.is_repeated:
        return [_item(each) for each in getattr(message, name)]
    if field.enum_type is not None and isinstance(value, int):
        return field.enum_type.values_by_number[value].name
    is_nil = field.message_type is not None and not message.HasField(name)
    return None if is_nil else _item(value)


def _item(value: object) -> object:
    return message_struct(value) if isinstance(value, Message) else value
