"""Steps whose requests go through a proxy of the daemon's: what their builds say of them."""

from __future__ import annotations

from typing import Final

from croze.job_values import JobKey
from croze.runtime.proxied import Rules

PROXIED: Final = JobKey[Rules]("proxied-network")
"""One build's say."""
