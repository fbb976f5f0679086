"""The traits of a daemon that plans take account of."""

from __future__ import annotations

from msgspec.structs import replace

from croze.client.planning.builder import BuilderTraits, contained, crozed, engine
from croze.drivers.reach import Reach

CONTAINED = ("docker-container", "kubernetes")
"""Drivers whose daemons live apart from the user's images."""


def client_builder(there: Reach) -> BuilderTraits:
    """The daemon as plans take account of it."""
    if there.kind == "docker":
        traits = engine()
    elif there.driver is not None and there.kind in CONTAINED:
        traits = contained(there.kind, default_load=there.driver.default_load)
    else:
        traits = crozed(sure=there.own)
        if there.kind == "remote":  # where its steps' network is, nobody has said
            loads = there.driver is not None and there.driver.default_load
            traits = replace(traits, host_gateway="", asked_to_load=loads)
    return replace(traits, place=there.place)


def descriptions(there: Reach | None) -> tuple[str, str]:
    """What a display says first of the builder, as text and on a terminal; nothing of the user's
    own daemon."""
    if there is None or not there.kind:
        return "", ""
    name, driver = there.builder, there.kind
    return f'building with "{name}" instance using {driver} driver', f"{driver}:{name}"
