"""What `croze cache-mount export` and `import` have in common."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from croze.cli.flags import UsageError

if TYPE_CHECKING:
    from croze.client.plan import CacheSpec


def parse_cache(text: str, command: str) -> CacheSpec:
    from croze.client.flags.cache import complete, parse_caches

    caches = complete(parse_caches([text]))
    if len(caches) != 1:
        raise UsageError(f"invalid cache {text}: one is needed", command)
    return caches[0]


def say(text: str, warning: bool) -> None:
    """Print a text to standard error: standard output may be the file."""
    print(f"WARNING: {text}" if warning else text, file=sys.stderr, flush=True)
