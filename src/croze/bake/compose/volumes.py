"""Short forms of volumes: `[SOURCE:]TARGET[:OPTIONS]`.

Nothing of them reaches a build, but a project with one that is none is refused. Source of rules and
texts: compose-go.
"""

from __future__ import annotations

from croze.bake.compose.merge import MergeError


def mount_target(text: str) -> str:
    """Where the volume is mounted. Raises `MergeError`."""
    if not text:
        raise MergeError("invalid empty volume spec")
    if len(text.encode()) < 3:
        return text
    parts = _parts(text)
    if not all(parts):
        raise MergeError(f"invalid spec: {text}: empty section between colons")
    if len(parts) > 3:
        raise MergeError(f"invalid spec: {text}: too many colons")
    return parts[0] if len(parts) == 1 else parts[1]


def _parts(text: str) -> list[str]:
    """What stands between colons; that behind a drive's letter or in `${…}` separates nothing."""
    parts = [""]
    variables = 0
    for at, char in enumerate(text):
        if char == "$" and text[at + 1 : at + 2] == "{":
            variables += 1
        elif char == "}" and variables:
            variables -= 1
        elif char == ":" and not variables and not (len(parts[-1]) == 1 and parts[-1].isalpha()):
            parts.append("")
            continue
        parts[-1] += char
    return parts
