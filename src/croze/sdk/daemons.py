"""What a plan must know of the daemon that it is for."""

from __future__ import annotations

from dataclasses import replace

from croze.client.options import Builder, contained, crozed, engine
from croze.drivers.reach import Reach

CONTAINED = ("docker-container", "kubernetes")
"""Drivers whose daemons live apart from the user's images."""


def client_builder(there: Reach) -> Builder:
    """What a plan must know of a daemon."""
    if there.kind == "docker":
        found = engine()
    elif there.driver is not None and there.kind in CONTAINED:
        found = contained(there.kind, default_load=there.driver.default_load)
    else:
        found = crozed(sure=there.own)
    return replace(found, place=there.place)
