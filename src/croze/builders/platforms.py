"""Many platforms in a short text, as `ls` has room for.

Source: docker/buildx `commands/ls.go`: the common ones first, the variants of an architecture
counted, the rest said as a number.
"""

from __future__ import annotations

from collections.abc import Sequence

from croze.image import platform as platforms

_MAJOR = ("amd64", "arm64", "arm", "ppc64le", "s390x", "riscv64", "mips64")


def shortened(texts: Sequence[str], most: int) -> str:
    """`linux/amd64* (+3), linux/arm64, (2 more)`: `most` architectures, the others counted."""
    groups = _grouped(texts)
    major = [name for arch in _MAJOR if (name := f"linux/{arch}") in groups]
    order = [*major, *sorted(name for name in groups if name not in major)][:most]
    shown = [_group(name, groups[name]) for name in order]
    hidden = len(texts) - sum(len(groups[name]) for name in order)
    return ", ".join([*shown, f"({hidden} more)"] if hidden > 0 else shown)


def _grouped(texts: Sequence[str]) -> dict[str, list[str]]:
    """Platforms by operating system and architecture."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        parsed = platforms.parse(text.removesuffix("*"))
        groups.setdefault(f"{parsed.os}/{parsed.architecture}", []).append(text)
    return groups


def _group(name: str, members: Sequence[str]) -> str:
    if len(members) == 1:
        return members[0]
    star = "*" if any(text.endswith("*") for text in members) else ""
    return f"{name}{star} (+{len(members)})"
