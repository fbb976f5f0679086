"""All that one call of `croze bake` is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from croze.bake.requests import BuildRequest
from croze.bake.select import Selection
from croze.cli.call import CallMode
from croze.client.planning.options import BuildOptions


class BakeTargets(Struct, frozen=True):
    """All that one call of `croze bake` builds."""

    selection: Selection
    requests: Mapping[str, BuildRequest]
    builds: Mapping[str, BuildOptions]
    call: CallMode
    """What `--call` says: its format counts for every target that calls something, if given."""
    names: Sequence[str]
    """Targets and groups, as they were asked for."""
