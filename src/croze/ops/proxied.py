"""Steps whose requests go through a proxy of the daemon's: what their builds say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from croze.runtime.proxy.contract import Rules

PROXIED: Final = "proxied-network"
"""The job value that is a build's `ProxyRules`."""


@dataclass(frozen=True)
class ProxyRules:
    """One build's say."""

    rules: Rules


def rules_of(values: Sequence[object]) -> list[Rules]:
    """Of the values that jobs have under `PROXIED`."""
    return [value.rules for value in values if isinstance(value, ProxyRules)]
