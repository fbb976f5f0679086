"""`--output`: where a result goes. Grammar: buildx `util/buildflags/export.go`."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from croze.errors import InvalidRequest
from croze.gotypes import csv_line


class OutputFlag(Struct, frozen=True):
    """One `--output`, as it was written. `dest` is a path, `-` for standard output, or empty."""

    type: str
    dest: str = ""
    attrs: dict[str, str] = field(default_factory=dict)


def parse_outputs(values: Iterable[str | OutputFlag]) -> list[OutputFlag]:
    """The outputs of `--output` flags, some of which may have been read already; empty ones are
    none. Raises `InvalidRequest`."""
    return [each if isinstance(each, OutputFlag) else parse_output(each) for each in values if each]


def parse_output(text: str) -> OutputFlag:
    """`type=…,dest=…,key=value`, or a bare path (local), or `-` (tar to standard output)."""
    words = csv_line.fields(text)
    if words == [text] and not text.startswith("type="):
        return OutputFlag("tar", "-") if text == "-" else OutputFlag("local", text)
    type, dest, attrs = "", "", {}
    for part in words:
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid value {part}")
        match key.lower().strip():
            case "type":
                type = value
            case "dest":
                dest = value
            case other:
                attrs[other] = value
    if not type:
        raise InvalidRequest("type is required for output")
    return OutputFlag(type, dest, attrs)
