"""Whether two Docker engines answer alike."""

from __future__ import annotations

OWN = frozenset({"Id", "RepoDigests", "Created", "Size", "VirtualSize", "Metadata", "GraphDriver"})
"""Ids, times, places and sizes: each store has its own."""


OLD = frozenset({"Container", "ContainerConfig", "DockerVersion"})
"""What images have no more since Docker 26."""


def alike(ours: object, theirs: object) -> bool:
    return type(ours) is type(theirs) or None in (ours, theirs)


def plain(value: object) -> object:
    """Without what is empty: Docker writes all of a container's settings beside an image's. Layers
    hold the times at which they were made: only their number is the same."""
    if isinstance(value, dict) and "Layers" in value:
        return {**value, "Layers": len(value["Layers"])}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if v not in (None, "", False, [], {})}
    return value
