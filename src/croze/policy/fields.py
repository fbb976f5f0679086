"""`policy eval --print --fields`: which of what isn't known is to be asked for.

Source: buildx `commands/policy/eval.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

_MATERIALS = ".image.provenance.materials["


def to_ask(fields: Sequence[str], unknown: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names to ask for, and fields that are no such names."""
    names: dict[str, None] = {}
    invalid: list[str] = []
    for each in fields:
        first = [name for name in _prerequisites(each) if name in unknown]
        if each in unknown:
            first.append(each)
        elif _is_material(each) and (above := _name_above(each, unknown)):
            first.append(above)
        if not first:
            invalid.append(each)
        names.update(dict.fromkeys(first))
    return list(names), invalid


def _is_material(field: str) -> bool:
    return field.startswith(_MATERIALS[1:])


def _prerequisites(field: str) -> list[str]:
    """What must be known for a material to be."""
    if not _is_material(field):
        return []
    names = ["image.provenance"]
    start = 0
    while (at := field.find(_MATERIALS, start)) >= 0:
        names.append(field[:at] + ".image.provenance")
        start = at + len(_MATERIALS)
    return names


def _name_above(field: str, unknown: Sequence[str]) -> str:
    """The longest unknown name that a field has, or is below; empty if there is none."""
    above = [
        name for name in unknown if field == name or field.startswith((f"{name}.", f"{name}["))
    ]
    return max(above, key=len, default="")


def unresolved(unknown: Sequence[str], fields: Sequence[str]) -> list[str]:
    """What is still not known, of the fields or of all; in short."""
    if fields:
        return sorted({_name_above(each, unknown) for each in fields} - {""})
    return sorted({_short(name) for name in unknown})


def _short(name: str) -> str:
    base, separator, _ = name.partition(".materials[")
    if separator:
        return f"{base}.materials"
    return ".".join(name.split(".")[:2])
