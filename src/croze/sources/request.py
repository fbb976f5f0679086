"""What a source is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from croze.image.platform import Platform


class SourceRequest(Struct, frozen=True):
    """A `SourceOp`: `identifier` is `scheme://rest`; `attrs` as in LLB."""

    identifier: str
    attrs: Mapping[str, str]
    platform: Platform | None = None
